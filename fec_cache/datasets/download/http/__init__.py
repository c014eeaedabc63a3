"""Code that accesses the network."""
