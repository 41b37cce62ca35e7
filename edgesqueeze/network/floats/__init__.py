"""What a network computes in float32: the meaning of every node in torch."""
