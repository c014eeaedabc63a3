"""FEC's CSV files -> `FaceRef` and `Triplet`; every row is either used or reported.

Format: Vemulapalli & Agarwala, CVPR 2019, arXiv:1811.11283, and the set's own readme. No header;
three faces of five columns (URL, left, right, top, bottom), the triplet's type, then rater id and
answer, repeated. Rows are ragged: most have six raters, some have more.
"""

import csv
import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from fec_cache.errors import BadAnnotations, MissingData

TRIPLET_TYPES = ("ONE_CLASS_TRIPLET", "TWO_CLASS_TRIPLET", "THREE_CLASS_TRIPLET")
SPLITS = ("train", "test")
_PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"}
_FACE_WIDTH = 5
_FIRST_ANSWER = 16
_Face = tuple[str, ...]


@dataclass(frozen=True, slots=True, order=True)
class FaceRef:
    """A face as an annotation names it: an image and a box.

    `image` is an http(s) URL or a path relative to `images/`. Box sides are fractions of the
    upright image's width and height, 0 <= left < right <= 1 and 0 <= top < bottom <= 1.
    """

    image: str
    left: float
    right: float
    top: float
    bottom: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, right, top, bottom: FEC's order."""
        return self.left, self.right, self.top, self.bottom

    @property
    def image_path(self) -> str:
        """Where the image lies, relative to `images/`; a URL's file is named by its hash."""
        if not is_url(self.image):
            return self.image
        suffix = PurePosixPath(urlsplit(self.image).path).suffix.lower()
        digest = hashlib.sha256(self.image.encode()).hexdigest()[:32]
        return digest + (suffix if suffix in _PICTURE_SUFFIXES else ".jpg")


@dataclass(frozen=True, slots=True)
class Triplet:
    """Three faces and each rater's answer: which face is the odd one, 1, 2 or 3."""

    faces: tuple[FaceRef, FaceRef, FaceRef]
    type: str
    raters: tuple[str, ...]
    answers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that could not be used: its file, its line number (from 1) and why."""

    file: str
    line: int
    reason: str


@dataclass(frozen=True)
class Annotations:
    """All rows of one file. `num_rows` == len(triplets) + len(rejected)."""

    path: Path
    triplets: tuple[Triplet, ...]
    rejected: tuple[RejectedRow, ...]
    num_rows: int


@dataclass
class _Memo:
    """Faces and raters seen before, so that a repeated one is neither parsed nor stored twice."""

    faces: dict[_Face, FaceRef] = field(default_factory=dict)
    raters: dict[str, str] = field(default_factory=dict)


def is_url(image: str) -> bool:
    """Whether an annotation names a web address rather than a file."""
    return image.lower().startswith(("http://", "https://"))


def find_annotations(data_dir: Path, split: str) -> Path:
    """The CSV of a split, `train` or `test`, under its short or its original name.

    Raises:
        MissingData: the folder or the file is not there.
    """
    if not data_dir.is_dir():
        raise MissingData(
            f"There is no data folder {data_dir}. Make one with: fec synthesize --out {data_dir}, "
            "or name yours with --data DIR."
        )
    names = (f"{split}.csv", f"faceexp-comparison-data-{split}-public.csv")
    for name in names:
        if (data_dir / name).is_file():
            return data_dir / name
    raise MissingData(
        f"{data_dir} has neither {names[0]} nor {names[1]}. Put FEC's CSV files there, or make a "
        f"set with: fec synthesize --out {data_dir}"
    )


def read_annotations(path: Path) -> Annotations:
    """Read one FEC CSV file; a bad row is reported, never skipped in silence.

    Raises:
        MissingData: the file cannot be read.
        BadAnnotations: not one row of the file can be used.
    """
    memo = _Memo()
    triplets: list[Triplet] = []
    rejected: list[RejectedRow] = []
    num_rows = 0
    for line, text in _lines(path):
        num_rows += 1
        try:
            triplets.append(_parse_row(text, memo))
        except ValueError as error:
            rejected.append(RejectedRow(path.name, line, str(error)))
    if not triplets:
        first = f" The first: line {rejected[0].line}: {rejected[0].reason}." if rejected else ""
        raise BadAnnotations(
            f"{path} has no usable row ({num_rows} rows read).{first} Expected FEC's format: three "
            "times URL, left, right, top, bottom, then the type, then rater and answer, repeated."
        )
    return Annotations(path, tuple(triplets), tuple(rejected), num_rows)


def write_rejected(path: Path, rows: Sequence[RejectedRow]) -> None:
    """Write file, line and reason of every rejected row; no file where there is none."""
    if not rows:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "line", "reason"])
        writer.writerows([row.file, row.line, row.reason] for row in rows)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    # Line by line, not through one reader: a stray quote then spoils its own row only.
    # Bytes that are not UTF-8 come through as lone surrogates, which _parse_row turns down.
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
            for number, text in enumerate(file, start=1):
                stripped = text.rstrip("\r\n")
                if stripped.strip():
                    yield number, stripped
    except OSError as error:
        raise MissingData(f"{path} cannot be read: {error.strerror or error}.") from error


def _parse_row(text: str, memo: _Memo) -> Triplet:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("not UTF-8") from error
    try:
        cells = next(csv.reader([text], skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise ValueError(f"not CSV: {error}") from error
    num_cells = len(cells)
    if num_cells < _FIRST_ANSWER + 2 or num_cells % 2:
        raise ValueError(
            f"{num_cells} columns, expected 16 and two for each rater (18, 20, ... 28, ...)"
        )
    first, second, third = (
        _parse_face(tuple(cells[i : i + _FACE_WIDTH]), memo) for i in (0, 5, 10)
    )
    if first in (second, third) or second == third:
        raise ValueError("the same face stands twice in the triplet")
    kind = cells[15].strip()
    if kind not in TRIPLET_TYPES:
        raise ValueError(f"unknown triplet type {kind!r}")
    raters = tuple(memo.raters.setdefault(r, r) for r in cells[_FIRST_ANSWER::2])
    answers = tuple(_parse_answer(cell) for cell in cells[_FIRST_ANSWER + 1 :: 2])
    return Triplet(
        (first, second, third), TRIPLET_TYPES[TRIPLET_TYPES.index(kind)], raters, answers
    )


def _parse_answer(cell: str) -> int:
    if cell.strip() not in ("1", "2", "3"):
        raise ValueError(f"answer {cell!r} is not 1, 2 or 3")
    return int(cell)


def _parse_face(cells: _Face, memo: _Memo) -> FaceRef:
    known = memo.faces.get(cells)
    if known is not None:
        return known
    image = cells[0].strip()
    _check_image(image)
    left, right, top, bottom = (_parse_fraction(cell) for cell in cells[1:])
    if not (left < right and top < bottom):
        raise ValueError(f"empty box: left {left}, right {right}, top {top}, bottom {bottom}")
    face = FaceRef(image, left, right, top, bottom)
    memo.faces[cells] = face
    return face


def _check_image(image: str) -> None:
    if not image:
        raise ValueError("a face has no image")
    if is_url(image):
        return
    path = PurePosixPath(image)
    if path.is_absolute() or ".." in path.parts or "\0" in image:
        raise ValueError(f"image {image!r} is neither a URL nor a path inside images/")


def _parse_fraction(cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        raise ValueError(f"box side {cell!r} is not a number") from None
    if math.isnan(value) or not 0.0 <= value <= 1.0:
        raise ValueError(f"box side {cell} is outside of [0, 1]")
    return value
