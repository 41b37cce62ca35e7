"""What lies in a run's directory, file by file."""
