"""First stage: annotations and pictures, from wherever they come."""
