from contextlib import closing

import pytest

from fec_cache.datasets.download.ledger import DownloadLedger, UrlOutcome
from fec_cache.datasets.download.plan import (
    count_in_state,
    enter_source,
    find_sources,
    host_of,
    reopen_failed,
    reopen_urls,
    urls_in_state,
)
from fec_cache.errors import BadAnnotations, MissingData
from fec_cache.testing.picture_server.triplets import write_csv

URLS = [f"http://{host}.example/{number}.jpg" for host in "ab" for number in range(3)]


@pytest.fixture
def ledger(tmp_path):
    with closing(DownloadLedger(tmp_path)) as ledger:
        yield ledger


def test_the_data_folders_own_files_are_found(tmp_path):
    with pytest.raises(MissingData, match="has none of FEC's CSV files"):
        find_sources(tmp_path, ())
    (tmp_path / "faceexp-comparison-data-test-public.csv").touch()
    assert list(find_sources(tmp_path, ())) == ["test"]


def test_given_files_are_taken_by_their_split(tmp_path):
    paths = [tmp_path / name for name in ("x-train-y.csv", "test.csv", "mine.csv")]
    for path in paths:
        path.touch()
    assert find_sources(tmp_path, paths) == dict(zip(("train", "test", "mine"), paths, strict=True))
    (tmp_path / "train.csv").touch()
    with pytest.raises(BadAnnotations, match="are both the split 'train'"):
        find_sources(tmp_path, [paths[0], tmp_path / "train.csv"])
    with pytest.raises(MissingData, match="There is no file"):
        find_sources(tmp_path, [tmp_path / "none.csv"])


def test_rows_become_urls_faces_and_triplets(tmp_path, ledger):
    path = tmp_path / "train.csv"
    write_csv(path, [*URLS, "local.jpg", *URLS[:2]])
    path.write_text(path.read_text() + "bad\n")
    source = enter_source(ledger, "train", path)
    assert (source.num_rows, source.num_rejected, len(source.rejected)) == (4, 1, 1)
    assert ledger.query("SELECT url, host FROM urls ORDER BY id") == [
        (url, url[7:16]) for url in URLS
    ]
    assert ledger.query("SELECT first, second, third FROM triplets") == [
        (1, 2, 3), (4, 5, 6), (None, 1, 2),
    ]  # fmt: skip
    # The last row repeats two faces.
    assert ledger.number("SELECT count(*) FROM faces") == 6
    pending = list(urls_in_state(ledger, [source], "pending"))
    assert pending[::3] == [(1, "a.example"), (4, "b.example")]
    again = enter_source(ledger, "train", path)
    assert (again.num_rows, again.num_rejected, again.rejected) == (4, 1, None)


def test_a_changed_file_replaces_its_rows_and_keeps_the_urls(tmp_path, ledger):
    path = tmp_path / "train.csv"
    write_csv(path, URLS)
    enter_source(ledger, "train", path)
    write_csv(path, URLS[3:])
    source = enter_source(ledger, "train", path)
    assert count_in_state(ledger, [source], "pending") == 3
    assert ledger.number("SELECT count(*) FROM urls") == 6
    assert ledger.number("SELECT count(*) FROM triplets") == 1


def test_a_file_without_a_usable_row_changes_nothing(tmp_path, ledger):
    path = tmp_path / "train.csv"
    path.write_text("a,b\n")
    with pytest.raises(BadAnnotations, match="no usable row"):
        enter_source(ledger, "train", path)
    assert ledger.number("SELECT count(*) FROM sources") == 0


@pytest.mark.parametrize(
    ("retry_failed", "reopened"), [("none", []), ("transient", [2]), ("all", [1, 2])]
)
def test_failures_are_reopened_as_asked(tmp_path, ledger, retry_failed, reopened):
    write_csv(tmp_path / "train.csv", URLS[:3])
    source = enter_source(ledger, "train", tmp_path / "train.csv")
    ledger.record(
        [UrlOutcome(1, "gone"), UrlOutcome(2, "timeout"),
         UrlOutcome(3, "", 200, 1, "", "aa", 10, 10, 4, 3)], 3,
    )  # fmt: skip
    assert reopen_failed(ledger, [source], retry_failed) == len(reopened)
    assert [number for number, _ in urls_in_state(ledger, [source], "pending")] == reopened
    reopen_urls(ledger, [3])
    assert ledger.query("SELECT state, sha256 FROM urls WHERE id = 3") == [("pending", None)]


@pytest.mark.parametrize(
    ("url", "host"),
    [("HTTP://A.Example:80/x", "a.example"), ("http:///x", ""), ("http://[broken/x", "")],
)  # fmt: skip
def test_the_host_of_a_url(url, host):
    assert host_of(url) == host
