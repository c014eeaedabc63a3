"""How a frozen network is run fast."""
