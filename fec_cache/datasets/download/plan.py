"""CSV files -> the ledger's URLs, faces and triplets; and which URLs a run is to fetch."""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from fec_cache.datasets.annotations import (
    SPLITS,
    FaceRef,
    RejectedRow,
    Triplet,
    find_annotations,
    iter_rows,
    no_usable_row,
)
from fec_cache.datasets.download.config import TRANSIENT
from fec_cache.datasets.download.ledger import Ledger, in_list
from fec_cache.datasets.image_paths import is_url
from fec_cache.errors import BadAnnotations, MissingData

_BATCH = 20_000


@dataclass(frozen=True)
class Source:
    """A CSV file in the ledger. `rejected` is there only if it was read now."""

    number: int
    split: str
    path: Path
    num_rows: int
    num_rejected: int
    rejected: tuple[RejectedRow, ...] | None


def find_sources(data_dir: Path, csv_paths: Sequence[Path]) -> dict[str, Path]:
    """The CSV files to work on, by split: those named, or the data folder's own.

    Raises:
        MissingData: there is none, or one named is not there.
    """
    if csv_paths:
        found: dict[str, Path] = {}
        for path in csv_paths:
            if not path.is_file():
                raise MissingData(f"There is no file {path}. Name FEC's CSV files with --csv FILE.")
            split = _split_of(path)
            if split in found:
                raise BadAnnotations(f"{found[split]} and {path} are both the split {split!r}.")
            found[split] = path
        return found
    found = {}
    for split in SPLITS:
        try:
            found[split] = find_annotations(data_dir, split)
        except MissingData:
            continue
    if not found:
        raise MissingData(
            f"{data_dir} has none of FEC's CSV files. Put them there (signing a form gives them, "
            "see docs/download.md), name them with --csv FILE, or name another folder with --data "
            "DIR."
        )
    return found


def enter_source(ledger: Ledger, split: str, path: Path) -> Source:
    """Bring the ledger up to one CSV file; a file that has not changed is not read again.

    Raises:
        MissingData, BadAnnotations: the file cannot be read, or no row of it can be used.
    """
    status = path.stat()
    known = ledger.query(
        "SELECT id, num_rows, num_rejected FROM sources "
        "WHERE split = ? AND name = ? AND size_bytes = ? AND mtime_ns = ?",
        (split, path.name, status.st_size, status.st_mtime_ns),
    )
    if known:
        number, num_rows, num_rejected = (int(str(value)) for value in known[0])
        return Source(number, split, path, num_rows, num_rejected, None)
    with ledger.writing() as connection:
        for table in ("faces", "triplets"):
            connection.execute(
                f"DELETE FROM {table} WHERE source IN (SELECT id FROM sources WHERE split = ?)",
                (split,),
            )
        connection.execute("DELETE FROM sources WHERE split = ?", (split,))
        cursor = connection.execute(
            "INSERT INTO sources (split, name, size_bytes, mtime_ns, num_rows, num_rejected) "
            "VALUES (?, ?, ?, ?, 0, 0)",
            (split, path.name, status.st_size, status.st_mtime_ns),
        )
        number = int(cursor.lastrowid or 0)
        rejected: list[RejectedRow] = []
        num_good = _Entry(connection, number).enter(_good_rows(path, rejected))
        num_rows = num_good + len(rejected)
        if not num_good:
            raise no_usable_row(path, num_rows, rejected[:1])
        connection.execute(
            "UPDATE sources SET num_rows = ?, num_rejected = ? WHERE id = ?",
            (num_rows, len(rejected), number),
        )
    return Source(number, split, path, num_rows, len(rejected), tuple(rejected))


def reopen_failed(ledger: Ledger, sources: Sequence[Source], retry_failed: str) -> int:
    """Make failures of earlier runs pending again, as asked; how many."""
    if retry_failed == "none":
        return 0
    kinds = f"AND kind IN ({in_list(TRANSIENT)})" if retry_failed == "transient" else ""
    with ledger.writing() as connection:
        return _reopen(connection, f"state = 'failed' {kinds} AND {_wanted(sources)}", ())


def reopen_urls(ledger: Ledger, numbers: Sequence[int]) -> None:
    """Make URLs pending again whose files are gone."""
    with ledger.writing() as connection:
        for number in numbers:
            _reopen(connection, "id = ?", (number,))


def wanted(ledger: Ledger, sources: Sequence[Source], state: str) -> Iterator[tuple[int, str]]:
    """Number and host of each URL of the sources in one state, in the order of the files."""
    for number, host in ledger.rows(
        f"SELECT id, host FROM urls WHERE state = ? AND {_wanted(sources)} ORDER BY id", (state,)
    ):
        yield int(str(number)), str(host)


def count_wanted(ledger: Ledger, sources: Sequence[Source], state: str) -> int:
    """How many those are."""
    return ledger.number(
        f"SELECT count(*) FROM urls WHERE state = ? AND {_wanted(sources)}", (state,)
    )


def host_of(url: str) -> str:
    """The host that a URL names, in small letters; empty if it names none."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _reopen(connection: sqlite3.Connection, where: str, values: Sequence[object]) -> int:
    return connection.execute(
        "UPDATE urls SET state = 'pending', kind = NULL, status = NULL, error = NULL, "
        "sha256 = NULL, size_bytes = NULL, stored_bytes = NULL, width = NULL, height = NULL "
        f"WHERE {where}",
        values,
    ).rowcount


def _wanted(sources: Sequence[Source]) -> str:
    numbers = ", ".join(str(source.number) for source in sources)
    return f"id IN (SELECT url FROM faces WHERE source IN ({numbers}))"


def _good_rows(path: Path, rejected: list[RejectedRow]) -> Iterator[Triplet]:
    for row in iter_rows(path):
        if isinstance(row, Triplet):
            yield row
        else:
            rejected.append(row)


def _split_of(path: Path) -> str:
    stem = path.stem
    for split in SPLITS:
        if stem == split or f"-{split}-" in stem:
            return split
    return stem


class _Entry:
    """One CSV file on its way into the ledger."""

    def __init__(self, connection: sqlite3.Connection, source: int) -> None:
        self._connection, self._source = connection, source
        self._numbers = dict(connection.execute("SELECT url, id FROM urls"))
        self._last = max(self._numbers.values(), default=0)
        # Equal faces are one object, so a face is known by its id while `_held` keeps it alive.
        self._seen: dict[int, int | None] = {}
        self._held: list[FaceRef] = []
        self._urls: list[tuple[object, ...]] = []
        self._faces: list[tuple[object, ...]] = []
        self._triplets: list[tuple[object, ...]] = []

    def enter(self, rows: Iterator[Triplet]) -> int:
        """Write all rows down; how many they were."""
        num_triplets = 0
        for triplet in rows:
            first, second, third = map(self._number_of, triplet.faces)
            self._triplets.append((self._source, triplet.type, first, second, third))
            num_triplets += 1
            if len(self._triplets) >= _BATCH:
                self._flush()
        self._flush()
        return num_triplets

    def _number_of(self, face: FaceRef) -> int | None:
        """The number of a face's URL; None for a face that lies in a file."""
        key = id(face)
        if key not in self._seen:
            self._held.append(face)
            self._seen[key] = self._enter_face(face) if is_url(face.image) else None
        return self._seen[key]

    def _enter_face(self, face: FaceRef) -> int:
        number = self._numbers.get(face.image)
        if number is None:
            self._last += 1
            number = self._numbers[face.image] = self._last
            self._urls.append((number, face.image, host_of(face.image)))
        self._faces.append((self._source, number, *face.box))
        return number

    def _flush(self) -> None:
        for sql, rows in (
            ("INSERT INTO urls (id, url, host) VALUES (?, ?, ?)", self._urls),
            ("INSERT INTO faces VALUES (?, ?, ?, ?, ?, ?)", self._faces),
            ("INSERT INTO triplets VALUES (?, ?, ?, ?, ?)", self._triplets),
        ):
            self._connection.executemany(sql, rows)
            rows.clear()
