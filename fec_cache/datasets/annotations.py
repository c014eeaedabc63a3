"""FEC's CSV files -> `FaceRef` and `Triplet`; every row is used or reported.

Format: Vemulapalli & Agarwala, CVPR 2019, arXiv:1811.11283, and the set's own readme. No header;
three faces of five columns (URL, left, right, top, bottom), the triplet's type, then rater id and
answer, repeated. Rows are ragged: most have six raters, some have more.
"""

import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from fec_cache.datasets.boxes import Box, check_box
from fec_cache.datasets.image_paths import is_url, url_path
from fec_cache.errors import BadAnnotations, MissingData, StorageFailed, system_advice
from fec_cache.system.wording import counted

TRIPLET_TYPES = ("ONE_CLASS_TRIPLET", "TWO_CLASS_TRIPLET", "THREE_CLASS_TRIPLET")
SPLITS = ("train", "test")
_FACE_WIDTH = 5
_FIRST_ANSWER = 16
_LONGEST_SHOWN = 60
_Cells = tuple[str, ...]


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
    def box(self) -> Box:
        """Left, right, top, bottom: FEC's order."""
        return self.left, self.right, self.top, self.bottom

    @property
    def image_path(self) -> str:
        """Where the image lies, relative to `images/`."""
        return url_path(self.image) if is_url(self.image) else self.image


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
    """All rows of one file but blank lines: `num_rows` == len(triplets) + len(rejected)."""

    path: Path
    triplets: tuple[Triplet, ...]
    rejected: tuple[RejectedRow, ...]
    num_rows: int


@dataclass
class _Memo:
    """Faces and answers seen before, so that a repeated one is neither parsed nor stored twice.

    `refs` makes equal faces one object, even if their numbers are written differently.
    """

    faces: dict[_Cells, FaceRef] = field(default_factory=dict)
    refs: dict[FaceRef, FaceRef] = field(default_factory=dict)
    answers: dict[_Cells, tuple[int, ...]] = field(default_factory=dict)


def find_annotations(data_dir: Path, split: str) -> Path:
    """The CSV of a split, `train` or `test`, under its short or its original name.

    Raises:
        MissingData: the folder or the file does not exist.
    """
    if not data_dir.is_dir():
        raise MissingData(
            f"There is no data folder {data_dir}. Make one with: fec synthesize --out {data_dir}, "
            "or give yours with --data DIR."
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
    """Read one FEC CSV file; a bad row is reported, never silently skipped.

    Raises:
        MissingData: the file cannot be read.
        BadAnnotations: no row of the file can be used.
    """
    rows = list(iter_rows(path))
    triplets = tuple(row for row in rows if isinstance(row, Triplet))
    rejected = tuple(row for row in rows if isinstance(row, RejectedRow))
    if not triplets:
        raise no_usable_row(path, len(rows), rejected[:1])
    return Annotations(path, triplets, rejected, len(rows))


def iter_rows(path: Path) -> Iterator[Triplet | RejectedRow]:
    """The rows of a FEC CSV file one by one; equal faces are one object.

    Raises:
        MissingData: the file cannot be read.
    """
    # With it, FEC's training file (449,142 rows, 188 MB) is read and planned for its download in
    # 9.3 s with 148 MB (docs/download.md).
    memo = _Memo()
    for line, text in numbered_lines(path):
        try:
            yield _parse_row(split_line(text), memo)
        except ValueError as error:
            yield RejectedRow(path.name, line, str(error))


def no_usable_row(path: Path, num_rows: int, first: Sequence[RejectedRow]) -> BadAnnotations:
    """The error for a file without a usable row."""
    example = "".join(f" The first: line {row.line}: {row.reason}." for row in first)
    return BadAnnotations(
        f"{path} has no usable row (rows read: {num_rows}).{example} Expected FEC's format: three "
        "times URL, left, right, top, bottom, then the type, then rater and answer, repeated."
    )


def write_rejected(path: Path, rows: Sequence[RejectedRow]) -> None:
    """Write file, line and reason of every rejected row; without rows, remove the file.

    Raises:
        StorageFailed: the file cannot be written.
    """
    try:
        if not rows:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        # A file name may hold bytes that are not UTF-8; the report must not.
        with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            writer = csv.writer(file)
            writer.writerow(["file", "line", "reason"])
            writer.writerows([row.file, row.line, row.reason] for row in rows)
    except OSError as error:
        raise StorageFailed(
            f"{path} could not be written: {error.strerror or error}; {system_advice(error)}"
        ) from error


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of each line that is not blank, for `split_line`.

    Raises:
        MissingData: the file cannot be read.
    """
    # Line by line instead of one csv.reader, so that a stray quote damages only its own row.
    # Bytes that are not UTF-8 come through as lone surrogates, which split_line rejects.
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            for number, text in enumerate(file, start=1):
                stripped = (text.removeprefix("\ufeff") if number == 1 else text).rstrip("\r\n")
                if stripped and not stripped.isspace():
                    yield number, stripped
    except OSError as error:
        raise MissingData(f"{path} cannot be read: {error.strerror or error}.") from error


def split_line(text: str) -> list[str]:
    """The cells of one line of CSV.

    Raises:
        ValueError: the line is not UTF-8 or not CSV; the message says which.
    """
    if not is_utf8(text):
        raise ValueError("not UTF-8")
    if "\0" in text:
        raise ValueError("contains a NUL byte")
    try:
        return next(csv.reader([text], skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise ValueError(f"not CSV: {error}") from error


def is_utf8(text: str) -> bool:
    """Whether a text holds no surrogate, which stands for a byte that is not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_image(image: str) -> None:
    """Check the image of a face in an annotation file.

    Raises:
        ValueError: neither a URL nor a path inside `images/` that a CSV file keeps unchanged.
    """
    if not image:
        raise ValueError("a face has no image")
    if is_url(image):
        return
    path = PurePosixPath(image)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"image {shortened(image)} is neither a URL nor a path inside images/")
    if not is_utf8(image) or any(ord(letter) < 32 for letter in image) or image != image.strip():
        raise ValueError(
            f"image {shortened(image)}: a name with control characters, spaces at an end or bytes "
            "that are not UTF-8 cannot be stored safely in a CSV file"
        )


def shortened(cell: str) -> str:
    """A cell in quotes, cut for an error message: a broken row can be a megabyte long."""
    whole = repr(cell[: _LONGEST_SHOWN + 1])
    return whole if len(cell) <= _LONGEST_SHOWN else f"{cell[:_LONGEST_SHOWN]!r}..."


def _parse_row(cells: list[str], memo: _Memo) -> Triplet:
    num_cells = len(cells)
    if num_cells < _FIRST_ANSWER + 2 or num_cells % 2:
        raise ValueError(
            f"{counted(num_cells, 'column')}, expected 16 and two for each rater (18, 20, ... "
            "28, ...)"
        )
    first = _parse_face(cells[0:5], memo)
    second = _parse_face(cells[5:10], memo)
    third = _parse_face(cells[10:15], memo)
    if first is second or first is third or second is third:
        raise ValueError("the triplet has the same face twice")
    kind = cells[15].strip()
    if kind not in TRIPLET_TYPES:
        raise ValueError(f"unknown triplet type {shortened(kind)}")
    # Interned, because rater ids and types repeat through all of FEC's 500,203 rows.
    raters = tuple(map(sys.intern, cells[_FIRST_ANSWER::2]))
    answers = _parse_answers(tuple(cells[_FIRST_ANSWER + 1 :: 2]), memo)
    return Triplet((first, second, third), sys.intern(kind), raters, answers)


def _parse_answers(cells: _Cells, memo: _Memo) -> tuple[int, ...]:
    known = memo.answers.get(cells)
    if known is None:
        known = memo.answers[cells] = tuple(map(_parse_answer, cells))
    return known


def _parse_answer(cell: str) -> int:
    if cell.strip() not in ("1", "2", "3"):
        raise ValueError(f"answer {shortened(cell)} is not 1, 2 or 3")
    return int(cell)


def _parse_face(cells: list[str], memo: _Memo) -> FaceRef:
    key = tuple(cells)
    known = memo.faces.get(key)
    if known is not None:
        return known
    image = cells[0].strip()
    check_image(image)
    face = FaceRef(image, *check_box(*map(_parse_side, cells[1:])))
    memo.faces[key] = face = memo.refs.setdefault(face, face)
    return face


def _parse_side(cell: str) -> float:
    try:
        # float() also takes 1_0 and digits of other scripts, which no annotation means.
        if cell.isascii() and "_" not in cell:
            return float(cell)
    except ValueError:
        pass
    raise ValueError(f"box side {shortened(cell)} is not a number")
