"""The ledger of downloads: each URL in exactly one state, in SQLite, in the data folder.

A killed process loses nothing that was committed: SQLite replays the write-ahead log when the file
is opened next. Faces and triplets are stored too, as numbers, so that states can be counted by
triplet without reading the CSV files again.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fec_cache.datasets.boxes import Box
from fec_cache.datasets.download.content import photo_of
from fec_cache.errors import LedgerDamaged, MissingData, StorageFailed

LEDGER_NAME = "download.sqlite"
FORMAT_VERSION = 1
_MANY_PHOTOS = "many different photos have this same content"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS urls (
    id INTEGER PRIMARY KEY,
    url TEXT NOT NULL UNIQUE,
    host TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'ok', 'failed')),
    kind TEXT, status INTEGER, tries INTEGER NOT NULL DEFAULT 0, error TEXT,
    sha256 TEXT, size_bytes INTEGER, stored_bytes INTEGER, width INTEGER, height INTEGER,
    finished_at TEXT,
    CHECK (state <> 'failed' OR kind IS NOT NULL),
    CHECK (state <> 'ok' OR (kind IS NULL AND sha256 IS NOT NULL AND size_bytes IS NOT NULL
        AND stored_bytes IS NOT NULL AND width IS NOT NULL AND height IS NOT NULL))
);
CREATE INDEX IF NOT EXISTS urls_by_content ON urls (sha256) WHERE sha256 IS NOT NULL;
CREATE TABLE IF NOT EXISTS sources (
    id INTEGER PRIMARY KEY, split TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
    size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    num_rows INTEGER NOT NULL, num_rejected INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS faces (
    source INTEGER NOT NULL REFERENCES sources, url INTEGER NOT NULL REFERENCES urls,
    "left" REAL NOT NULL, "right" REAL NOT NULL, top REAL NOT NULL, bottom REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS faces_by_url ON faces (url);
CREATE TABLE IF NOT EXISTS triplets (
    source INTEGER NOT NULL REFERENCES sources, type TEXT NOT NULL,
    first INTEGER, second INTEGER, third INTEGER
);
CREATE INDEX IF NOT EXISTS triplets_by_source ON triplets (source);
"""
_COLUMNS = {"urls": 14, "sources": 7, "faces": 6, "triplets": 5}
# SQLite's primary result codes for problems around the file rather than in it: no permission, busy,
# locked, read-only, I/O error, disk full, cannot open (https://sqlite.org/rescode.html).
_OUTSIDE_CODES = {3, 5, 6, 8, 10, 13, 14}
# Python 3.10 gives no codes: there the message decides.
_OUTSIDE_WORDS = ("disk is full", "locked", "readonly", "disk I/O", "unable to open")


@dataclass(frozen=True, slots=True)
class UrlOutcome:
    """Result of one URL. For `ok`, `kind` is empty and the fields of the picture are set.

    Attributes:
        number: the URL's number in the ledger.
        kind: kind of failure, one of `KINDS`; empty for `ok`.
        status: the last HTTP status, if any.
        tries: requests made in this run.
        error: the failure in words.
        sha256: digest of the bytes that the server sent.
        size_bytes: number of those bytes.
        stored_bytes: bytes on the disk; of all crops together if crops are kept.
        width: pixels of the upright picture.
        height: pixels of the upright picture.
    """

    number: int
    kind: str = ""
    status: int | None = None
    tries: int = 0
    error: str = ""
    sha256: str | None = None
    size_bytes: int | None = None
    stored_bytes: int | None = None
    width: int | None = None
    height: int | None = None

    @property
    def state(self) -> str:
        """`ok` or `failed`."""
        return "failed" if self.kind else "ok"


class DownloadLedger:
    """The open ledger of one data folder; not thread-safe.

    Raises:
        LedgerDamaged: the file is not a ledger or is damaged.
        StorageFailed: the file cannot be written, or another process locked it for a minute.
        MissingData: it was to be opened read-only and does not exist.
    """

    def __init__(self, data_dir: Path, read_only: bool = False) -> None:
        self.path = data_dir / LEDGER_NAME
        if read_only and not self.path.is_file():
            raise MissingData(
                f"There is no ledger {self.path}. Run: fec download --data {data_dir}"
            )
        with self._named_errors():
            self._connection = self._connect(read_only)
        self._placeholders = {
            sha
            for (sha,) in self.query(
                "SELECT DISTINCT sha256 FROM urls WHERE kind = 'placeholder' AND sha256 IS NOT NULL"
            )
        }

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def query(self, sql: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """All rows of a query."""
        with self._named_errors():
            return self._connection.execute(sql, values).fetchall()

    def rows(self, sql: str, values: Sequence[object] = ()) -> Iterator[tuple[object, ...]]:
        """The rows of a query one by one, for results too large for memory."""
        with self._named_errors():
            yield from self._connection.execute(sql, values)

    def number(self, sql: str, values: Sequence[object] = ()) -> int:
        """The single integer that a query returns; 0 for NULL."""
        return int(str(self.query(sql, values)[0][0] or 0))

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed as a whole or not at all."""
        with self._named_errors(), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection

    def url(self, number: int) -> str:
        """The URL with a number."""
        return str(self.query("SELECT url FROM urls WHERE id = ?", (number,))[0][0])

    def boxes(self, number: int) -> list[Box]:
        """The distinct boxes on a URL's picture, in a fixed order."""
        rows = self.query(
            'SELECT DISTINCT "left", "right", top, bottom FROM faces WHERE url = ? '
            "ORDER BY 1, 2, 3, 4",
            (number,),
        )
        return [(float(a), float(b), float(c), float(d)) for a, b, c, d in rows]  # type: ignore[arg-type]

    def stored(self, numbers: Iterable[int]) -> Iterator[tuple[int, str, int]]:
        """Number, URL and stored bytes of URLs that are ok."""
        for number in numbers:
            url, size = self.query("SELECT url, stored_bytes FROM urls WHERE id = ?", (number,))[0]
            yield number, str(url), int(str(size))

    def placeholders(self) -> list[tuple[int, str]]:
        """Number and URL of each placeholder whose picture was stored before it was recognised."""
        rows = self.query(
            "SELECT id, url FROM urls WHERE kind = 'placeholder' AND sha256 IS NOT NULL"
        )
        return [(int(str(number)), str(url)) for number, url in rows]

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Width and height of each stored picture, by URL."""
        rows = self.query("SELECT url, width, height FROM urls WHERE state = 'ok'")
        return {str(url): (int(str(w)), int(str(h))) for url, w, h in rows}

    def record(
        self, outcomes: Sequence[UrlOutcome], placeholder_urls: int
    ) -> list[tuple[int, str]]:
        """Write the results of URLs.

        Args:
            outcomes: results of pending URLs.
            placeholder_urls: content that more photos than this share is a placeholder; 0: never.

        Returns:
            Number and URL of pictures that proved to be placeholders; the caller deletes them.
        """
        checked = [self._checked(outcome) for outcome in outcomes] if placeholder_urls else outcomes
        unmasked = [
            (outcome.number, self.url(outcome.number))
            for outcome, original in zip(checked, outcomes, strict=True)
            if outcome is not original
        ]
        with self.writing() as connection:
            connection.executemany(
                "UPDATE urls SET state = ?, kind = ?, status = ?, tries = tries + ?, error = ?, "
                "sha256 = ?, size_bytes = ?, stored_bytes = ?, width = ?, height = ?, "
                "finished_at = strftime('%Y-%m-%dT%H:%M:%SZ', 'now') WHERE id = ?",
                [_row(outcome) for outcome in checked],
            )
            if placeholder_urls:
                for sha in {o.sha256 for o in checked if o.sha256 and not o.kind}:
                    unmasked += self._unmask(connection, sha, placeholder_urls)
        return unmasked

    def _checked(self, outcome: UrlOutcome) -> UrlOutcome:
        """The same outcome, or a failure if its content is a known placeholder."""
        if outcome.kind or outcome.sha256 not in self._placeholders:
            return outcome
        return replace(outcome, kind="placeholder", stored_bytes=None, error=_MANY_PHOTOS)

    def _unmask(self, connection: sqlite3.Connection, sha: str, most: int) -> list[tuple[int, str]]:
        """Mark all URLs with this content as failed if too many photos share it."""
        rows = connection.execute(
            "SELECT id, url FROM urls WHERE sha256 = ? AND state = 'ok'", (sha,)
        ).fetchall()
        if len(rows) <= most or len({photo_of(url) for _, url in rows}) <= most:
            return []
        connection.execute(
            "UPDATE urls SET state = 'failed', kind = 'placeholder', stored_bytes = NULL, "
            "error = ? WHERE sha256 = ? AND state = 'ok'",
            (_MANY_PHOTOS, sha),
        )
        self._placeholders.add(sha)
        return [(number, url) for number, url in rows]

    def _connect(self, read_only: bool) -> sqlite3.Connection:
        if read_only:
            uri = f"{self.path.resolve().as_uri()}?mode=ro"
            connection = sqlite3.connect(uri, uri=True, timeout=60)
        else:
            connection = sqlite3.connect(self.path, timeout=60)
        # `writing` begins its transactions itself: sqlite3 would begin deferred ones, which can
        # fail as busy in the middle.
        connection.isolation_level = None
        try:
            if not read_only:
                # A power cut cannot damage the file in this mode; it may lose the last seconds.
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
            self._check(connection, read_only)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, connection: sqlite3.Connection, read_only: bool) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (num_tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if version != FORMAT_VERSION and (version or num_tables or read_only):
            raise self._damaged(f"format {version}, expected {FORMAT_VERSION}")
        if not version:
            connection.executescript(
                f"BEGIN;{_SCHEMA}PRAGMA user_version = {FORMAT_VERSION};COMMIT;"
            )
        (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if answer != "ok":
            raise self._damaged(str(answer))
        for name, count in _COLUMNS.items():
            if len(connection.execute(f"PRAGMA table_info({name})").fetchall()) != count:
                raise self._damaged(f"table {name} has other columns than expected")

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            text = str(error)
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # from Python 3.11 on
            if code in _OUTSIDE_CODES or any(word in text for word in _OUTSIDE_WORDS):
                raise StorageFailed(
                    f"{self.path} could not be used ({text}). Free some space, check the file's "
                    "permissions or wait for the other process, then run the same command again."
                ) from error
            raise self._damaged(text) from error

    def _damaged(self, why: str) -> LedgerDamaged:
        return LedgerDamaged(
            f"{self.path} cannot be used as the ledger of downloads ({why}). Move it and its -wal "
            "and -shm files away and run fec download again: pictures that are already on the disk "
            "are kept, not fetched again."
        )


def _row(outcome: UrlOutcome) -> tuple[object, ...]:
    return (
        outcome.state, outcome.kind or None, outcome.status, outcome.tries, outcome.error or None,
        outcome.sha256, outcome.size_bytes, outcome.stored_bytes, outcome.width, outcome.height,
        outcome.number,
    )  # fmt: skip


def in_list(words: Iterable[str]) -> str:
    """Words as an SQL list; they are not escaped, so only for constants of this package."""
    return ", ".join(f"'{word}'" for word in sorted(words))
