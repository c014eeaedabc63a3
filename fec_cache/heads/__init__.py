"""The pair classifiers: one file per head, and what heads share."""
