"""What speaks to the network."""
