"""Fourth stage: triplets and pairs as row numbers, and their splits."""
