"""Drawn faces and simulated raters."""
