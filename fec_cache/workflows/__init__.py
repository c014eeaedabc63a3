"""One module per verb: connects the stages, calls a reporter, returns a record."""
