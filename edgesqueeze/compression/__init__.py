"""What changes what a network computes."""
