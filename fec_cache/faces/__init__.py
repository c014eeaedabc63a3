"""One face: its box, picture, crop and identity."""
