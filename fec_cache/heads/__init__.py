"""What a pair classifier is: one file per head, and what heads share."""
