"""What a run leaves for people beside its table: curves, confusion, pictures, the model card."""
