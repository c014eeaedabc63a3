"""CSV files -> URLs, faces and triplets in the ledger; and which URLs a run fetches."""

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
from fec_cache.datasets.download.ledger import DownloadLedger, in_list
from fec_cache.datasets.image_paths import is_url
from fec_cache.errors import BadAnnotations, MissingData

_ROWS_PER_FLUSH = 20_000


@dataclass(frozen=True)
class Source:
    """A CSV file in the ledger; `rejected` is None if the file was read by an earlier run."""

    number: int
    split: str
    path: Path
    num_rows: int
    num_rejected: int
    rejected: tuple[RejectedRow, ...] | None


def find_sources(data_dir: Path, csv_paths: Sequence[Path]) -> dict[str, Path]:
    """The CSV files to read, by split: the given ones, or those of the data folder.

    Raises:
        MissingData: there is none, or a given file does not exist.
        BadAnnotations: two given files have the same split.
    """
    if csv_paths:
        named: dict[str, Path] = {}
        for path in csv_paths:
            if not path.is_file():
                raise MissingData(f"There is no file {path}. Give FEC's CSV files with --csv FILE.")
            split = _split_of(path)
            if split in named:
                raise BadAnnotations(
                    f"{named[split]} and {path} are both the split {split!r}. Name one file per "
                    "split."
                )
            named[split] = path
        return named
    own = {}
    for split in SPLITS:
        try:
            own[split] = find_annotations(data_dir, split)
        except MissingData:
            continue
    if not own:
        raise MissingData(
            f"{data_dir} has none of FEC's CSV files. Put them there (docs/download.md says where "
            "to get them), give them with --csv FILE, or choose another folder with --data DIR."
        )
    return own


def enter_source(ledger: DownloadLedger, split: str, path: Path) -> Source:
    """Enter one CSV file into the ledger; a file that has not changed is not read again.

    Raises:
        MissingData, BadAnnotations: the file cannot be read, or none of its rows can be used.
    """
    # Size and time stand for the content: reading a file of 449,142 rows takes 9.3 s, this 0.2 s
    # (docs/download.md).
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
        num_good = _SourceWriter(connection, number).write(_good_rows(path, rejected))
        num_rows = num_good + len(rejected)
        if not num_good:
            raise no_usable_row(path, num_rows, rejected[:1])
        connection.execute(
            "UPDATE sources SET num_rows = ?, num_rejected = ? WHERE id = ?",
            (num_rows, len(rejected), number),
        )
    return Source(number, split, path, num_rows, len(rejected), tuple(rejected))


def reopen_failed(ledger: DownloadLedger, sources: Sequence[Source], retry_failed: str) -> int:
    """Make failures of earlier runs pending again, as `retry_failed` says; returns their number."""
    if retry_failed == "none":
        return 0
    kinds = f"AND kind IN ({in_list(TRANSIENT)})" if retry_failed == "transient" else ""
    with ledger.writing() as connection:
        return _reopen(connection, f"state = 'failed' {kinds} AND {_is_of(sources)}", ())


def reopen_urls(ledger: DownloadLedger, numbers: Sequence[int]) -> None:
    """Make URLs pending again, because their files are gone."""
    with ledger.writing() as connection:
        for number in numbers:
            _reopen(connection, "id = ?", (number,))


def urls_in_state(
    ledger: DownloadLedger, sources: Sequence[Source], state: str
) -> Iterator[tuple[int, str]]:
    """Number and host of each URL of the sources in this state, in the order of the files."""
    for number, host in ledger.rows(
        f"SELECT id, host FROM urls WHERE state = ? AND {_is_of(sources)} ORDER BY id", (state,)
    ):
        yield int(str(number)), str(host)


def count_in_state(ledger: DownloadLedger, sources: Sequence[Source], state: str) -> int:
    """Number of URLs of the sources in this state."""
    return ledger.number(
        f"SELECT count(*) FROM urls WHERE state = ? AND {_is_of(sources)}", (state,)
    )


def host_of(url: str) -> str:
    """The URL's host in lower case; empty if it has none."""
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


def _is_of(sources: Sequence[Source]) -> str:
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


class _SourceWriter:
    """Writes the rows of one CSV file into the ledger."""

    def __init__(self, connection: sqlite3.Connection, source: int) -> None:
        self._connection, self._source = connection, source
        self._numbers = dict(connection.execute("SELECT url, id FROM urls"))
        self._last_number = max(self._numbers.values(), default=0)
        # Equal faces are one object (see `iter_rows`), and an id is looked up faster than a face is
        # hashed. `_held` keeps the faces alive, because Python reuses the ids of dead objects.
        self._seen: dict[int, int | None] = {}
        self._held: list[FaceRef] = []
        self._urls: list[tuple[object, ...]] = []
        self._faces: list[tuple[object, ...]] = []
        self._triplets: list[tuple[object, ...]] = []

    def write(self, rows: Iterator[Triplet]) -> int:
        """Write all rows; returns their number."""
        num_triplets = 0
        for triplet in rows:
            first, second, third = map(self._number_of, triplet.faces)
            self._triplets.append((self._source, triplet.type, first, second, third))
            num_triplets += 1
            if len(self._triplets) >= _ROWS_PER_FLUSH:
                self._flush()
        self._flush()
        return num_triplets

    def _number_of(self, face: FaceRef) -> int | None:
        """The number of a face's URL; None for a face whose image is a local file."""
        key = id(face)
        if key not in self._seen:
            self._held.append(face)
            self._seen[key] = self._enter_face(face) if is_url(face.image) else None
        return self._seen[key]

    def _enter_face(self, face: FaceRef) -> int:
        number = self._numbers.get(face.image)
        if number is None:
            self._last_number += 1
            number = self._numbers[face.image] = self._last_number
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
