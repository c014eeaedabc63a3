"""Toy backbone, planted triplets and a local picture server for tests and benchmarks."""
