"""A trained head on disk."""
