"""The frozen networks, their weights and their layers."""
