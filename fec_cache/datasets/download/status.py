"""The ledger -> what is there, what is missing and why, and which set of images survives."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fec_cache.datasets.annotations import TRIPLET_TYPES
from fec_cache.datasets.download.config import TRANSIENT
from fec_cache.datasets.download.ledger import Ledger

_OK = "SELECT id FROM urls WHERE state = 'ok'"
_IS_USABLE = " AND ".join(f"({face} IS NULL OR {face} IN ({_OK}))" for face in
                          ("first", "second", "third"))  # fmt: skip


@dataclass(frozen=True)
class HostStatus:
    """One host's URLs by state."""

    host: str
    ok: int
    failed: int
    pending: int


@dataclass(frozen=True)
class KindStatus:
    """URLs that failed in one way, and one example."""

    kind: str
    number: int
    is_transient: bool
    example: str


@dataclass(frozen=True)
class TripletStatus:
    """Triplets of one split and type: all, and those whose three images are there."""

    split: str
    type: str
    number: int
    usable: int


@dataclass(frozen=True)
class DownloadStatus:
    """What a ledger says; `stored_bytes` are those on the disk."""

    states: dict[str, int]
    stored_bytes: int
    hosts: tuple[HostStatus, ...]
    kinds: tuple[KindStatus, ...]
    triplets: tuple[TripletStatus, ...]
    survivors: dict[str, Any]


def status_of(ledger: Ledger) -> DownloadStatus:
    """Count everything in a ledger."""
    states = dict.fromkeys(("pending", "ok", "failed"), 0)
    for state, number in ledger.query("SELECT state, count(*) FROM urls GROUP BY state"):
        states[str(state)] = int(str(number))
    triplets = _triplets(ledger)
    return DownloadStatus(
        states,
        ledger.number("SELECT sum(stored_bytes) FROM urls WHERE state = 'ok'"),
        _hosts(ledger),
        _kinds(ledger),
        triplets,
        _survivors(ledger, triplets),
    )


def _set_of(ledger: Ledger, where: str, values: Sequence[object] = ()) -> tuple[str, int]:
    """Name and size of a set of images: sha256 over the sorted distinct hex digests, one a line."""
    digest, number = hashlib.sha256(), 0
    for (sha,) in ledger.rows(
        f"SELECT DISTINCT sha256 FROM urls WHERE state = 'ok' {where} ORDER BY sha256", values
    ):
        digest.update(f"{sha}\n".encode())
        number += 1
    return digest.hexdigest(), number


def _hosts(ledger: Ledger) -> tuple[HostStatus, ...]:
    rows = ledger.query(
        "SELECT host, sum(state = 'ok'), sum(state = 'failed'), sum(state = 'pending') FROM urls "
        "GROUP BY host ORDER BY count(*) DESC, host"
    )
    return tuple(HostStatus(str(host), *(int(str(n)) for n in counts)) for host, *counts in rows)


def _kinds(ledger: Ledger) -> tuple[KindStatus, ...]:
    rows = ledger.query(
        "SELECT kind, count(*), max(error) FROM urls WHERE state = 'failed' "
        "GROUP BY kind ORDER BY count(*) DESC, kind"
    )
    return tuple(
        KindStatus(str(kind), int(str(n)), kind in TRANSIENT, str(error or ""))
        for kind, n, error in rows
    )


def _triplets(ledger: Ledger) -> tuple[TripletStatus, ...]:
    rows = ledger.query(
        f"SELECT split, type, count(*), sum({_IS_USABLE}) FROM triplets "
        "JOIN sources ON sources.id = triplets.source GROUP BY split, type"
    )
    found = [TripletStatus(str(s), str(t), int(str(n)), int(str(u))) for s, t, n, u in rows]
    order = {name: place for place, name in enumerate(TRIPLET_TYPES)}
    return tuple(sorted(found, key=lambda group: (group.split, order[group.type])))


def _survivors(ledger: Ledger, triplets: Sequence[TripletStatus]) -> dict[str, Any]:
    """The content of `survivors.json`; hashes are of the originals, whatever was kept of them."""
    splits: dict[str, dict[str, Any]] = {}
    for (split,) in ledger.query("SELECT split FROM sources ORDER BY split"):
        name, number = _set_of(
            ledger,
            "AND id IN (SELECT url FROM faces JOIN sources ON sources.id = faces.source "
            "WHERE split = ?)",
            (split,),
        )
        groups = [group for group in triplets if group.split == split]
        splits[str(split)] = {
            "survivors": name,
            "images": number,
            "triplets": {group.type: group.usable for group in groups},
            "triplets_in_all": {group.type: group.number for group in groups},
        }
    name, number = _set_of(ledger, "")
    return {
        "format_version": 1,
        "survivors": name,
        "images": number,
        "splits": splits,
    }
