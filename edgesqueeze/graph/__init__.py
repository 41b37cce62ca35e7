"""The small graph between torch and the files."""
