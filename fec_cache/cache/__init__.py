"""The store of features: one folder per recipe."""
