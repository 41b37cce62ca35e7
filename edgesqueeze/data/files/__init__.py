"""Images in files: checked and fingerprinted once, decoded as batches need them, kept decoded by option."""
