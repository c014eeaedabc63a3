"""Labelled pictures, from folders or a CSV; every picture that comes in is used or reported."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fec_cache.errors import BadAnnotations, MissingData
from fec_cache.sources.annotations import RejectedRow

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_COLUMNS = ("image", "expression")
_SIDES = ("left", "right", "top", "bottom")
_WHOLE = (0.0, 1.0, 0.0, 1.0)


@dataclass(frozen=True)
class LabelledFace:
    """A picture with an expression word; `identity` is empty where nobody knows it.

    `path` is the file, `image` its name relative to the source, with forward slashes; `box` is
    left, right, top, bottom as fractions, the whole picture where none is given.
    """

    path: Path
    image: str
    expression: str
    identity: str = ""
    box: tuple[float, float, float, float] = _WHOLE


@dataclass(frozen=True)
class LabelledSet:
    """All usable pictures of a source, and the rows or files that were turned down."""

    faces: tuple[LabelledFace, ...]
    rejected: tuple[RejectedRow, ...]


def read_labelled(source: Path) -> LabelledSet:
    """Read a folder per expression, or a CSV with the columns image, identity, expression.

    A CSV is taken if `source` is one or holds exactly one with the columns image and expression;
    its images are looked for beside it and in `images/` beside it. Columns left, right, top, bottom
    give the box, if they are there.

    Raises:
        MissingData: there is no such source.
        BadAnnotations: neither labelled folders nor a CSV were found, or nothing is usable.
    """
    if not source.exists():
        raise MissingData(
            f"There is no {source}. Expected a folder with one folder of pictures per expression, "
            "or a CSV with the columns image, identity, expression."
        )
    table = _find_table(source)
    items = _from_table(table) if table else _from_folders(source)
    faces: list[LabelledFace] = []
    rejected: list[RejectedRow] = []
    for item in items:
        (faces if isinstance(item, LabelledFace) else rejected).append(item)  # type: ignore[arg-type]
    if not faces:
        first = f" The first problem: {rejected[0].reason}." if rejected else ""
        raise BadAnnotations(
            f"{source} has no usable labelled picture.{first} Expected one folder of pictures per "
            "expression, or a CSV with the columns image, identity, expression."
        )
    return LabelledSet(tuple(faces), tuple(rejected))


def _find_table(source: Path) -> Path | None:
    if source.is_file():
        return source
    tables = [path for path in sorted(source.glob("*.csv")) if set(_COLUMNS) <= set(_header(path))]
    if len(tables) > 1:
        names = ", ".join(path.name for path in tables)
        raise BadAnnotations(f"{source} has several tables of pictures: {names}. Name one of them.")
    return tables[0] if tables else None


def _header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _from_table(path: Path) -> Iterator[LabelledFace | RejectedRow]:
    header = _header(path)
    if not set(_COLUMNS) <= set(header):
        raise BadAnnotations(
            f"{path} has the columns {', '.join(header) or '(none)'}, but image and expression are "
            "needed; identity, left, right, top and bottom may be there too."
        )
    seen: set[tuple[str, object]] = set()
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.DictReader(file)
        for row in reader:
            try:
                face = _face_of_row(path.parent, row)
                if (face.image, face.box) in seen:
                    raise ValueError(f"{face.image} stands twice with the same box")
                seen.add((face.image, face.box))
                yield face
            except ValueError as error:
                yield RejectedRow(path.name, reader.line_num, str(error))


def _face_of_row(folder: Path, row: dict[str, str | None]) -> LabelledFace:
    cells = {name: (value or "").strip() for name, value in row.items() if isinstance(name, str)}
    image, expression = cells["image"], cells["expression"]
    try:
        (image + expression).encode()
    except UnicodeEncodeError as error:
        raise ValueError("not UTF-8") from error
    if not image or not expression:
        raise ValueError("no image" if not image else f"{image} has no expression")
    places = (folder / image, folder / "images" / image)
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise ValueError(f"there is no picture {image} beside the table or in images/")
    if ".." in Path(image).parts or Path(image).is_absolute():
        raise ValueError(f"{image} does not lie inside of the source")
    return LabelledFace(
        path, Path(image).as_posix(), expression, cells.get("identity", ""), _box_of(cells)
    )


def _box_of(cells: dict[str, str]) -> tuple[float, float, float, float]:
    if not any(cells.get(side) for side in _SIDES):
        return _WHOLE
    try:
        left, right, top, bottom = (float(cells.get(side, "")) for side in _SIDES)
    except ValueError:
        raise ValueError("left, right, top and bottom are not all numbers") from None
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ValueError(f"box {left}, {right}, {top}, {bottom} is empty or outside of [0, 1]")
    return left, right, top, bottom


def _from_folders(source: Path) -> Iterator[LabelledFace | RejectedRow]:
    for path in _files(source):
        name = path.relative_to(source)
        if path.suffix.lower() not in PICTURE_SUFFIXES:
            yield RejectedRow(name.as_posix(), 0, "no picture by its ending")
        elif len(name.parts) < 2:
            yield RejectedRow(name.as_posix(), 0, "lies in no folder that names its expression")
        else:
            yield LabelledFace(path, name.as_posix(), name.parts[0])


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
