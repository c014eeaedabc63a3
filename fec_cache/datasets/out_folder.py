"""Check of the folder that a command writes a set into."""

from pathlib import Path

from fec_cache.errors import OutputExists


def check_out(out: Path, marker: str, command: str) -> None:
    """Check that writing into a folder overwrites only what the same command made.

    Args:
        out: the folder to write; new, empty, or made by the same command before.
        marker: the file that marks a folder as made by the command.
        command: the command as typed, for the error.

    Raises:
        OutputExists: `out` is a file, or a folder with other content.
    """
    if out.exists() and not out.is_dir():
        raise OutputExists(f"{out} is a file, but --out must be a folder. Choose another --out.")
    if out.is_dir() and any(out.iterdir()) and not (out / marker).is_file():
        raise OutputExists(
            f"{out} is not empty and contains no {marker}, so it was not made by {command}. "
            "Choose a new or empty folder with --out."
        )
