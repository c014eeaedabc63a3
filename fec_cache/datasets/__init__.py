"""Where faces and triplets come from."""
