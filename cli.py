"""Launcher: `python cli.py ...` equals `fec ...`."""

from fec_cache.cli.main import main

if __name__ == "__main__":
    main()
