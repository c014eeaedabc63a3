"""Running a frozen network fast."""
