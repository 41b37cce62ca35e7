"""Model files: writing them, and reading back what is in them."""
