"""Ledger -> stored and missing images with reasons, and the name of the set that survived."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fec_cache.datasets.annotations import TRIPLET_TYPES
from fec_cache.datasets.download.config import TRANSIENT
from fec_cache.datasets.download.ledger import DownloadLedger

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
    """Number of URLs that failed with one kind, and an example of their errors."""

    kind: str
    number: int
    is_transient: bool
    example: str


@dataclass(frozen=True)
class TripletStatus:
    """Triplets of one split and type: in all, and those whose three images are stored."""

    split: str
    type: str
    number: int
    usable: int


@dataclass(frozen=True)
class DownloadStatus:
    """Counts over a whole ledger; `survivors` is the content of `survivors.json`."""

    states: dict[str, int]
    stored_bytes: int
    hosts: tuple[HostStatus, ...]
    kinds: tuple[KindStatus, ...]
    triplets: tuple[TripletStatus, ...]
    survivors: dict[str, Any]


def status_of(ledger: DownloadLedger) -> DownloadStatus:
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


def _set_of(ledger: DownloadLedger, where: str, values: Sequence[object] = ()) -> tuple[str, int]:
    """Name and size of a set of images: sha256 over the sorted distinct hex digests, one per line.

    Digests are of the original bytes, so the name does not depend on what was kept of them.
    """
    digest, number = hashlib.sha256(), 0
    for (sha,) in ledger.rows(
        f"SELECT DISTINCT sha256 FROM urls WHERE state = 'ok' {where} ORDER BY sha256", values
    ):
        digest.update(f"{sha}\n".encode())
        number += 1
    return digest.hexdigest(), number


def _hosts(ledger: DownloadLedger) -> tuple[HostStatus, ...]:
    rows = ledger.query(
        "SELECT host, sum(state = 'ok'), sum(state = 'failed'), sum(state = 'pending') FROM urls "
        "GROUP BY host ORDER BY count(*) DESC, host"
    )
    return tuple(HostStatus(str(host), *(int(str(n)) for n in counts)) for host, *counts in rows)


def _kinds(ledger: DownloadLedger) -> tuple[KindStatus, ...]:
    rows = ledger.query(
        "SELECT kind, count(*), max(error) FROM urls WHERE state = 'failed' "
        "GROUP BY kind ORDER BY count(*) DESC, kind"
    )
    return tuple(
        KindStatus(str(kind), int(str(n)), kind in TRANSIENT, str(error or ""))
        for kind, n, error in rows
    )


def _triplets(ledger: DownloadLedger) -> tuple[TripletStatus, ...]:
    rows = ledger.query(
        f"SELECT split, type, count(*), sum({_IS_USABLE}) FROM triplets "
        "JOIN sources ON sources.id = triplets.source GROUP BY split, type"
    )
    groups = [TripletStatus(str(s), str(t), int(str(n)), int(str(u))) for s, t, n, u in rows]
    order = {name: number for number, name in enumerate(TRIPLET_TYPES)}
    return tuple(sorted(groups, key=lambda group: (group.split, order[group.type])))


def _survivors(ledger: DownloadLedger, triplets: Sequence[TripletStatus]) -> dict[str, Any]:
    """The content of `survivors.json`."""
    splits: dict[str, dict[str, Any]] = {}
    # By split, because `fec evaluate` compares figures by the name of the test set alone.
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
