"""Scenes composed from a seed: cut-outs on made-up backgrounds, with boxes and masks that are exact."""
