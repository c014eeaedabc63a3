import shutil
from collections import namedtuple
from contextlib import closing

import pytest

from fec_cache.datasets.download.config import DownloadConfig
from fec_cache.datasets.download.disk_space import SpaceGuard
from fec_cache.datasets.download.ledger import DownloadLedger
from fec_cache.errors import StorageFailed

Usage = namedtuple("Usage", ("total", "free"))


@pytest.fixture
def guard(tmp_path, monkeypatch):
    """Makes a guard on a disk of a given size with an empty ledger, or one with stored pictures."""
    with closing(DownloadLedger(tmp_path)) as ledger:

        def make(total=10**12, free=10**12, stored=(), **options):
            monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(total, free))
            with ledger.writing() as sql:
                sql.executemany(
                    "INSERT INTO urls (id, url, host, state, sha256, size_bytes, stored_bytes, "
                    "width, height) VALUES (?, ?, '', 'ok', 'aa', 1, ?, 1, 1)",
                    [(number, str(number), size) for number, size in enumerate(stored)],
                )
            return SpaceGuard(ledger, tmp_path, DownloadConfig(**options))

        yield make


def test_without_pictures_their_size_is_guessed(guard):
    assert guard().expected_bytes(10) == 1_500_000
    assert guard(keep="crop").expected_bytes(10) == 2_000_000


def test_a_hundred_stored_pictures_give_the_mean(guard):
    assert guard(stored=[1000] * 50 + [3000] * 50).expected_bytes(10) == 20_000


def test_the_limit_counts_what_is_stored(guard):
    space = guard(stored=[400_000], max_gb=0.001)
    assert space.expected_bytes(10**6) == 600_000
    assert space.why_stop() == ""
    space.add(600_000)
    assert space.why_stop() == "0.001 GB are stored, the limit set by --max-gb"


def test_too_little_room_is_refused_with_figures(guard):
    with pytest.raises(StorageFailed) as caught:
        guard(free=300_000_000).check(1000)
    assert str(caught.value).startswith("1000 pictures will take about 0.15 GB, but ")
    assert "has room for 44.0 MB (0.30 GB free, 0.26 GB of it kept in reserve)" in str(caught.value)
    assert str(caught.value).endswith("download a part with --max-gb 0.040.")
    guard(free=500_000_000).check(1000)


def test_a_small_disk_keeps_a_twentieth_in_reserve(guard):
    guard(total=200_000_000, free=20_000_000).check(50)
    with pytest.raises(StorageFailed):
        guard(total=200_000_000, free=20_000_000).check(70)


def test_a_disk_that_fills_up_stops_the_run(guard, monkeypatch):
    space = guard()
    assert space.why_stop() == ""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 200_000_000))
    assert space.why_stop() == ""  # looked at again after 16 MB only
    space.add(16_000_000)
    assert space.why_stop() == "only 0.20 GB are free on the disk"
