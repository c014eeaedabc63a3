"""Caches as objects to look at and to maintain: what `fec cache ...` does."""
