"""Pictures with labels -> a set in FEC's format."""
