import hashlib
from contextlib import closing

from fec_cache.datasets.download.ledger import DownloadLedger, UrlOutcome
from fec_cache.datasets.download.plan import enter_source
from fec_cache.datasets.download.status import HostStatus, KindStatus, TripletStatus, status_of
from fec_cache.testing.picture_server.triplets import write_csv


def ok(number, sha, size):
    return UrlOutcome(number, "", 200, 1, "", sha, size, size, 4, 3)


def name_of(*shas):
    return hashlib.sha256("".join(f"{sha}\n" for sha in sorted(shas)).encode()).hexdigest()


def test_everything_is_counted(tmp_path):
    train = [f"http://a.example/{number}.jpg" for number in range(5)] + ["local.jpg"]
    test = [f"http://b.example/{number}.jpg" for number in range(3)]
    write_csv(tmp_path / "train.csv", train)
    write_csv(tmp_path / "test.csv", test, "THREE_CLASS_TRIPLET")
    with closing(DownloadLedger(tmp_path)) as ledger:
        for split in ("train", "test"):
            enter_source(ledger, split, tmp_path / f"{split}.csv")
        # Numbers 1 to 5 are of train, 6 to 8 of test; 5 and 6 have the same content.
        ledger.record(
            [ok(1, "bb", 10), UrlOutcome(2, "timeout", error="late"), UrlOutcome(3, "gone"),
             ok(4, "aa", 20), ok(5, "cc", 30), ok(6, "cc", 30), ok(7, "dd", 40)], 3,
        )  # fmt: skip
        status = status_of(ledger)
    assert status.states == {"pending": 1, "ok": 5, "failed": 2}
    assert status.stored_bytes == 130
    assert status.hosts == (
        HostStatus("a.example", ok=3, failed=2, pending=0),
        HostStatus("b.example", ok=2, failed=0, pending=1),
    )
    assert status.kinds == (
        KindStatus("gone", 1, False, ""),
        KindStatus("timeout", 1, True, "late"),
    )
    # Of train's two triplets the second has two stored images and a local file.
    assert status.triplets == (
        TripletStatus("test", "THREE_CLASS_TRIPLET", number=1, usable=0),
        TripletStatus("train", "ONE_CLASS_TRIPLET", number=2, usable=1),
    )
    survivors = status.survivors
    assert (survivors["survivors"], survivors["images"]) == (name_of("aa", "bb", "cc", "dd"), 4)
    assert survivors["splits"]["train"] == {
        "survivors": name_of("aa", "bb", "cc"), "images": 3,
        "triplets": {"ONE_CLASS_TRIPLET": 1}, "triplets_in_all": {"ONE_CLASS_TRIPLET": 2},
    }  # fmt: skip
    assert survivors["splits"]["test"]["survivors"] == name_of("cc", "dd")


def test_an_empty_ledger_counts_nothing(tmp_path):
    with closing(DownloadLedger(tmp_path)) as ledger:
        status = status_of(ledger)
    assert status.states == {"pending": 0, "ok": 0, "failed": 0}
    assert (status.hosts, status.kinds, status.triplets) == ((), (), ())
    assert status.survivors["survivors"] == hashlib.sha256(b"").hexdigest()
