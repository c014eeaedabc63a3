"""The version of the package, where every module can read it without importing the public door."""

VERSION = "0.2.0"
