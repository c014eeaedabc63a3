"""How good a head is: figures with intervals, and what they are compared with."""
