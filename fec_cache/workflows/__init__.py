"""One verb each: wires the stages, tells a reporter, returns a record."""
