"""What every kind of node must answer in integers: see ``network.integers.reference``."""
