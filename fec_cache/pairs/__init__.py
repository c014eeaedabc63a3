"""Triplets and pairs as row numbers, and their splits."""
