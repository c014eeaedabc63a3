"""Which points of a search stop early."""
