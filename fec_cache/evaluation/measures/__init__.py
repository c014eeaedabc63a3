"""Measures on arrays: pure functions and the records they return, without files or heads."""
