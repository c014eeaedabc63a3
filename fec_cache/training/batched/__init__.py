"""Heads trained side by side, with gradients written by hand."""
