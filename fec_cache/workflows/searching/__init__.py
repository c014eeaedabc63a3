"""The parts of a search: what is asked for, what it leaves in its folder, its outcome."""
