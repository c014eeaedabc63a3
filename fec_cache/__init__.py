"""Say whether two faces show similar expressions, from cached features of a frozen backbone."""

__version__ = "0.1.0"
