"""Training of pair classifiers."""
