"""Draws faces with a known expression."""
