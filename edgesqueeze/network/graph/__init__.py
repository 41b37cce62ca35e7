"""What a network computes: nodes, shapes, checks, JSON and counts. No torch."""
