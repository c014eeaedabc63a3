"""Synthetic sets: drawn faces and simulated raters."""
