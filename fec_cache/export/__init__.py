"""Export of caches for other programs."""
