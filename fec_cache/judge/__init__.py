"""A trained head in use: two pictures -> verdict."""
