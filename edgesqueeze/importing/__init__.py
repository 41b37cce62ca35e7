"""Networks that come as files of other frameworks, as torch modules whose layers have the user's names."""
