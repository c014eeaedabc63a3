"""What leaves the tool for other programs."""
