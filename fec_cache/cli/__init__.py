"""The command line: parse options, call a workflow, print its result."""
