"""Checks, repairs and tidies a cache."""
