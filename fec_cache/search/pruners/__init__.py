"""Rules that stop unpromising settings early."""
