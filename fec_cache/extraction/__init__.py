"""Faces -> frozen backbone -> cache."""
