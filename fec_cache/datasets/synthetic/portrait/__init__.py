"""Draws one face."""
