"""Downloading FEC's images from their URLs."""
