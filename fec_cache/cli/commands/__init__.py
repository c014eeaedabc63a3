"""One file per noun; each lists its commands in `COMMANDS`, and a new file needs no other change.

Workflows are imported inside the commands: `fec --help` imports every file of this folder, and
torch alone takes seconds.
"""
