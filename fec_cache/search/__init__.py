"""Seventh stage: many heads, each tried once."""
