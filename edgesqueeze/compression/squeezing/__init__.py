"""One shot: levels for all weights without training, by what each layer reads."""
