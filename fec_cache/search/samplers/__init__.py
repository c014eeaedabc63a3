"""Rules that choose which settings a search tries next."""
