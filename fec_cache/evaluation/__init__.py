"""Sixth stage: figures that can be believed."""
