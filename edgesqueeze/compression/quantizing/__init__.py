"""From a float graph to its integers: calibration, plans, training with rounding."""
