"""Labelled pictures from folders or a CSV -> `LabelledSet`; each one is used or reported."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fec_cache.datasets.annotations import (
    RejectedRow,
    check_image,
    numbered_lines,
    shortened,
    split_line,
)
from fec_cache.datasets.boxes import SIDES, WHOLE_PICTURE, Box, check_box
from fec_cache.errors import BadAnnotations, MissingData
from fec_cache.system.wording import counted

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_COLUMNS = ("image", "expression")


@dataclass(frozen=True)
class LabelledFace:
    """A face with its expression label.

    Attributes:
        path: the picture's file.
        image: its name relative to the source, with forward slashes.
        expression: the label.
        identity: who is shown; empty if unknown.
        box: left, right, top, bottom as fractions of the picture; the whole picture if not given.
    """

    path: Path
    image: str
    expression: str
    identity: str = ""
    box: Box = WHOLE_PICTURE


@dataclass(frozen=True)
class LabelledSet:
    """All usable faces of a source, and the rows or files that were rejected."""

    faces: tuple[LabelledFace, ...]
    rejected: tuple[RejectedRow, ...]


def read_labelled(source: Path) -> LabelledSet:
    """Read a folder per expression, or a CSV with the columns image, identity, expression.

    A CSV is used if `source` is one, or if it holds exactly one with the columns image and
    expression. Its images are searched next to it and in `images/` next to it. The optional columns
    left, right, top, bottom give the box. In folders, symbolic links are followed.

    Raises:
        MissingData: the source does not exist, or a part of it cannot be read.
        BadAnnotations: the source holds several such CSV files, or no usable picture.
    """
    if not source.exists():
        raise MissingData(
            f"There is no folder or file {source}. Expected a folder with one folder of pictures "
            "per expression, or a CSV with the columns image, identity, expression."
        )
    table = _find_table(source)
    items = list(_from_table(table) if table else _from_folders(source))
    faces = tuple(item for item in items if isinstance(item, LabelledFace))
    rejected = tuple(item for item in items if isinstance(item, RejectedRow))
    if not faces:
        first = f" The first problem: {rejected[0].reason}." if rejected else ""
        raise BadAnnotations(
            f"{source} has no usable labelled picture.{first} Expected one folder of pictures per "
            "expression, or a CSV with the columns image, identity, expression."
        )
    return LabelledSet(faces, rejected)


def reject_copies(labelled: LabelledSet) -> LabelledSet:
    """Reject faces whose picture is unreadable or empty, and copies of an earlier face.

    Two faces are copies if their pictures have the same bytes and their boxes are equal.
    """
    # Copies under other names once put test faces into training: docs/experiments.md.
    faces: list[LabelledFace] = []
    rejected = list(labelled.rejected)
    digests: dict[Path, str] = {}
    originals: dict[tuple[str, object], LabelledFace] = {}
    for face in labelled.faces:
        try:
            digest = digests[face.path] = digests.get(face.path) or _digest(face.path)
        except (OSError, ValueError) as error:
            rejected.append(RejectedRow(face.image, 0, f"cannot be read: {_reason_of(error)}"))
            continue
        original = originals.setdefault((digest, face.box), face)
        if original is face:
            faces.append(face)
        else:
            reason = f"copy of the face in {original.image}, labelled {original.expression}"
            rejected.append(RejectedRow(face.image, 0, reason))
    return LabelledSet(tuple(faces), tuple(rejected))


def _reason_of(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _digest(path: Path) -> str:
    content = path.read_bytes()
    if not content:
        raise ValueError("empty (0 bytes)")
    return hashlib.sha256(content).hexdigest()


def _find_table(source: Path) -> Path | None:
    if source.is_file():
        return source
    files = (path for path in sorted(source.glob("*.csv")) if path.is_file())
    tables = [path for path in files if set(_COLUMNS) <= set(_header(path))]
    if len(tables) > 1:
        names = ", ".join(path.name for path in tables)
        raise BadAnnotations(f"{source} has several tables of pictures: {names}. Pass one of them.")
    return tables[0] if tables else None


def _header(path: Path) -> list[str]:
    for _, text in numbered_lines(path):
        try:
            return [cell.strip() for cell in split_line(text)]
        except ValueError:
            break
    return []


def _from_table(path: Path) -> Iterator[LabelledFace | RejectedRow]:
    header = _header(path)
    if not set(_COLUMNS) <= set(header):
        columns = shortened(", ".join(header)) if header else "(none)"
        raise BadAnnotations(
            f"{path} has the columns {columns}, but image and expression are required; identity, "
            "left, right, top and bottom are optional."
        )
    seen: set[tuple[str, object]] = set()
    lines = numbered_lines(path)
    next(lines)
    for number, text in lines:
        try:
            face = _face_of_row(path.parent, _by_column(header, split_line(text)))
            if (face.image, face.box) in seen:
                raise ValueError(f"{face.image} is listed twice with the same box")
        except ValueError as error:
            yield RejectedRow(path.name, number, str(error))
        else:
            seen.add((face.image, face.box))
            yield face


def _by_column(header: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    # An extra comma shifts every cell after it, so no cell of such a row can be trusted.
    if len(cells) != len(header):
        raise ValueError(
            f"{counted(len(cells), 'column')}, expected {len(header)} as in the first line"
        )
    return {name: cell.strip() for name, cell in zip(header, cells, strict=True)}


def _face_of_row(folder: Path, cells: dict[str, str]) -> LabelledFace:
    if not cells["image"]:
        raise ValueError("no image")
    image = Path(cells["image"]).as_posix()
    check_image(image)
    if not cells["expression"]:
        raise ValueError(f"{image} has no expression")
    candidates = (folder / image, folder / "images" / image)
    path = next((candidate for candidate in candidates if _is_file(candidate)), None)
    if path is None:
        raise ValueError(f"no picture {shortened(image)} next to the table or in images/")
    return LabelledFace(path, image, cells["expression"], cells.get("identity", ""), _box_of(cells))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # Path.is_file passes on ENAMETOOLONG: the name is longer than the file system allows.
        return False


def _box_of(cells: dict[str, str]) -> Box:
    if not any(cells.get(side) for side in SIDES):
        return WHOLE_PICTURE
    try:
        left, right, top, bottom = (float(cells.get(side, "")) for side in SIDES)
    except ValueError:
        raise ValueError("left, right, top and bottom are not all numbers") from None
    return check_box(left, right, top, bottom)


def _from_folders(source: Path) -> Iterator[LabelledFace | RejectedRow]:
    for path in sorted(_files(source)):
        name = path.relative_to(source)
        reason = _rejection_reason(path, name)
        if reason:
            yield RejectedRow(name.as_posix(), 0, reason)
        else:
            yield LabelledFace(path, name.as_posix(), name.parts[0])


def _rejection_reason(path: Path, name: Path) -> str:
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        return "link to a parent folder" if path.is_dir() else "extension is not a picture's"
    if len(name.parts) < 2:
        return "not inside a folder named after an expression"
    if not _is_file(path):
        return "not a file, or a broken link"
    try:
        check_image(name.as_posix())
    except ValueError as error:
        return str(error)
    return ""


def _files(source: Path) -> Iterator[Path]:
    """Every file below a folder, following links, and every link to a parent folder."""
    for parent, folders, files in os.walk(source, onerror=_raise_unreadable, followlinks=True):
        # os.walk keeps no record of visited folders: a link to a parent would never end. It reads
        # `folders` again after this step, so the list is changed in place.
        loops = [name for name in folders if _links_to_parent(Path(parent, name), source)]
        folders[:] = sorted(set(folders) - set(loops))
        yield from (Path(parent, name) for name in (*files, *loops))


def _links_to_parent(folder: Path, source: Path) -> bool:
    if not folder.is_symlink():
        return False
    target = folder.resolve()
    parents = [path for path in folder.parents if path.is_relative_to(source)]
    return any(path.resolve().is_relative_to(target) for path in parents)


def _raise_unreadable(error: OSError) -> None:
    raise MissingData(
        f"{error.filename} cannot be read: {error.strerror or error}. "
        "Check file permissions and the disk."
    ) from error
