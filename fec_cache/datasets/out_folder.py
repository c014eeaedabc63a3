"""The folder that a command writes a set into: its own, or nobody's."""

from pathlib import Path

from fec_cache.errors import OutputExists


def check_out(out: Path, marker: str, command: str) -> None:
    """Turn down a folder that holds something which a command did not make.

    Args:
        out: the folder to write; new, empty, or made by the same command before.
        marker: the file by which the command knows its own folders.
        command: in the words of the command line.

    Raises:
        OutputExists: it is a file, or it holds something else.
    """
    if out.exists() and not out.is_dir():
        raise OutputExists(f"{out} is a file, but a folder is to be written. Name another --out.")
    if out.is_dir() and any(out.iterdir()) and not (out / marker).is_file():
        raise OutputExists(
            f"{out} is not empty and holds no {marker}, so it was not made by {command}. "
            "Name a new or empty folder with --out."
        )
