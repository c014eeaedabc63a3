import sqlite3
from contextlib import closing

import pytest

from fec_cache.datasets.download.ledger import LEDGER_NAME, DownloadLedger, UrlOutcome
from fec_cache.datasets.download.plan import enter_source
from fec_cache.errors import LedgerDamaged, MissingData, StorageFailed
from fec_cache.testing.picture_server.triplets import write_csv

URLS = [f"http://a.example/{number}.jpg" for number in range(1, 7)]


@pytest.fixture
def ledger(tmp_path):
    """A ledger with six pending URLs, numbered from 1."""
    write_csv(tmp_path / "train.csv", URLS)
    with closing(DownloadLedger(tmp_path)) as ledger:
        enter_source(ledger, "train", tmp_path / "train.csv")
        yield ledger


def ok(number, sha):
    return UrlOutcome(number, "", 200, 1, "", sha, 10, 10, 4, 3)


def kinds(ledger):
    return dict(ledger.query("SELECT id, kind FROM urls WHERE state = 'failed'"))


def test_outcomes_are_recorded(ledger):
    failed = UrlOutcome(2, "not-found", 404, 2, "HTTP 404")
    assert ledger.record([ok(1, "aa"), failed], 3) == []
    assert (ok(1, "aa").state, failed.state) == ("ok", "failed")
    assert ledger.query(
        "SELECT state, kind, status, tries, error, sha256, stored_bytes, width, height FROM urls "
        "WHERE id < 4 ORDER BY id"
    ) == [
        ("ok", None, 200, 1, None, "aa", 10, 4, 3),
        ("failed", "not-found", 404, 2, "HTTP 404", None, None, None, None),
        ("pending", None, None, 0, None, None, None, None, None),
    ]
    assert list(ledger.stored([1])) == [(1, URLS[0], 10)]
    assert ledger.sizes() == {URLS[0]: (4, 3)}
    assert ledger.number("SELECT sum(width) FROM urls WHERE id > 3") == 0


def test_boxes_of_a_url_are_distinct_and_sorted(tmp_path):
    write_csv(tmp_path / "train.csv", [URLS[0], URLS[1], URLS[0]])
    with closing(DownloadLedger(tmp_path)) as ledger:
        enter_source(ledger, "train", tmp_path / "train.csv")
        assert ledger.url(1) == URLS[0]
        assert ledger.boxes(1) == [(0.1, 0.8, 0.25, 0.75), (0.3, 0.8, 0.25, 0.75)]


def test_content_of_too_many_photos_is_a_placeholder(ledger):
    assert ledger.record([ok(1, "aa"), ok(2, "aa")], 2) == []
    assert ledger.record([ok(3, "aa"), ok(4, "bb")], 2) == [(n, URLS[n - 1]) for n in (1, 2, 3)]
    assert kinds(ledger) == dict.fromkeys((1, 2, 3), "placeholder")
    # From now on one such content is enough.
    assert ledger.record([ok(5, "aa")], 2) == [(5, URLS[4])]
    assert ledger.placeholders() == [(n, URLS[n - 1]) for n in (1, 2, 3, 5)]
    assert ledger.record([ok(6, "aa")], 0) == []
    assert 6 not in kinds(ledger)


def test_a_failed_transaction_leaves_nothing(ledger):
    with pytest.raises(LedgerDamaged, match="CHECK constraint failed"), ledger.writing() as sql:
        sql.execute("UPDATE urls SET error = 'x' WHERE id = 1")
        sql.execute("UPDATE urls SET state = 'done' WHERE id = 2")
    assert ledger.number("SELECT count(*) FROM urls WHERE error = 'x'") == 0


def test_a_ledger_that_is_only_read_must_exist(tmp_path):
    with pytest.raises(MissingData, match=r"There is no ledger .* Run: fec download --data"):
        DownloadLedger(tmp_path, read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_ledger_is_refused(tmp_path):
    (tmp_path / LEDGER_NAME).write_text("no database" * 1000)
    with pytest.raises(LedgerDamaged, match="file is not a database"):
        DownloadLedger(tmp_path)


def test_a_ledger_that_cannot_be_opened_is_a_storage_failure(tmp_path):
    with pytest.raises(StorageFailed, match="unable to open"):
        DownloadLedger(tmp_path / "nowhere")


def test_the_ledger_takes_no_fourth_state(tmp_path):
    write_csv(tmp_path / "train.csv", ["http://a.example/1.jpg", "http://a.example/2.jpg"] * 2)
    with closing(DownloadLedger(tmp_path)) as ledger:
        enter_source(ledger, "train", tmp_path / "train.csv")
    with closing(sqlite3.connect(tmp_path / "download.sqlite")) as connection:
        for state in ("'done'", "NULL", "'ok'", "'failed'"):
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(f"UPDATE urls SET state = {state}")
