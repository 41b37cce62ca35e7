"""One representation of every weight technique: parametrizations on ``weight``."""
