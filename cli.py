"""Launcher: `python cli.py ...` equals `fec ...`."""

from fec_cache.surfaces.commands import main

if __name__ == "__main__":
    main()
