"""One run of a recipe: its settings, its directory, its rows and its report."""
