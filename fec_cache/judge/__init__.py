"""The trained thing in use: two pictures -> verdict."""
