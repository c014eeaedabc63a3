"""Helpers shared by tests, benchmarks and the tests of users."""
