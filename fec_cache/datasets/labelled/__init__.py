"""Labelled pictures -> a set in FEC's format."""
