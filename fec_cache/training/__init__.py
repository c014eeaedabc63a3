"""How a pair classifier learns."""
