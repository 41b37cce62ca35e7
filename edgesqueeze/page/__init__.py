"""The report page: finished runs as one HTML file that needs nothing else to be looked at."""
