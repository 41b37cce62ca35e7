"""What a bundle takes along. ``edge.py`` runs where this package is not: numpy and one runtime are enough."""
