"""Which frozen networks there are, their weights and their layers."""
