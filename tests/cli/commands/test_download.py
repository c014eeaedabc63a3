import csv
import hashlib
import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock

from fec_cache.datasets.annotations import read_annotations
from fec_cache.datasets.download.config import DownloadConfig
from fec_cache.datasets.download.ledger import LEDGER_NAME
from fec_cache.datasets.download.run import NetworkAccess
from fec_cache.datasets.image_paths import url_path
from fec_cache.faces.crop import CropConfig
from fec_cache.faces.images import load_face
from fec_cache.system.reporter import SILENT
from fec_cache.system.workspace import Workspace
from fec_cache.testing import download_worker
from fec_cache.testing.picture_server.behaviours import EXPECTED
from fec_cache.testing.picture_server.loopback import pinned
from fec_cache.testing.picture_server.server import PictureServer
from fec_cache.testing.picture_server.triplets import write_csv
from fec_cache.workflows.download import LOCK_NAME
from fec_cache.workflows.download import download as run_download
from tests.workspace_fixtures import BACKBONE

ROOT = Path(__file__).parents[3]
LOCAL = ("--allow-private", "--backoff", "0.02", "--deadline", "2")


@pytest.fixture
def server():
    with PictureServer() as running:
        yield running


def home(server, behaviour, number):
    return server.url(behaviour, number, "127.0.0.1")


def set_of(place, server, train=12, test=6, missing=2):
    urls = [home(server, "ok", n) for n in range(train - missing)]
    urls += [home(server, "missing", n) for n in range(missing)]
    write_csv(place.folder / "data" / "train.csv", urls)
    tests = [home(server, "ok", 100 + n) for n in range(test)]
    write_csv(place.folder / "data" / "test.csv", tests, "THREE_CLASS_TRIPLET")


def test_a_run_says_what_is_there_and_what_is_missing(empty, server):
    set_of(empty, server)
    fields = json.loads(empty.ok("download", *LOCAL, "--json").stdout)
    assert fields["urls"] == {"pending": 0, "ok": 16, "failed": 2}
    assert fields["run"]["ok"] == 16
    assert [(k["kind"], k["number"], k["is_transient"]) for k in fields["failures"]] == [
        ("not-found", 2, False)
    ]
    assert fields["hosts"] == [{"host": "127.0.0.1", "ok": 16, "failed": 2, "pending": 0}]
    # Twelve training URLs are four triplets; both missing ones stand in the last of them.
    assert [(t["split"], t["type"], t["number"], t["usable"]) for t in fields["triplets"]] == [
        ("test", "THREE_CLASS_TRIPLET", 2, 2), ("train", "ONE_CLASS_TRIPLET", 4, 3),
    ]  # fmt: skip
    text = empty.ok("download", "--status").output
    for words in ("18 URLs: 16 ok", "not-found", "train one_class", "By host"):
        assert words in text
    again = json.loads(empty.ok("download", "--status", "--json").stdout)
    del fields["run"]
    assert again == fields
    assert len(server.log) == 18


def test_a_picture_that_lost_its_end_is_fetched_again_and_no_other_is(empty, server):
    set_of(empty, server)
    empty.ok("download", *LOCAL)
    path = empty.folder / "data" / "images" / url_path(home(server, "ok", 3))
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    del server.log[:]
    result = empty.ok("download", *LOCAL)
    assert "1 picture missing or changed on disk: fetched again." in result.stderr
    assert server.log == ["/ok/3.jpg"]
    assert path.read_bytes() == content


def test_survivors_are_named_by_the_hash_of_their_hashes(empty, server):
    set_of(empty, server)
    empty.ok("download", *LOCAL)
    data = empty.folder / "data"
    told = json.loads((data / "survivors.json").read_text())

    def name_of(urls):
        files = [data / "images" / url_path(url) for url in urls]
        shas = sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
        return hashlib.sha256("".join(f"{sha}\n" for sha in shas).encode()).hexdigest()

    train = [home(server, "ok", n) for n in range(10)]
    test = [home(server, "ok", 100 + n) for n in range(6)]
    assert told["survivors"] == name_of(train + test)
    assert told["splits"]["test"] == {
        "survivors": name_of(test), "images": 6,
        "triplets": {"THREE_CLASS_TRIPLET": 2}, "triplets_in_all": {"THREE_CLASS_TRIPLET": 2},
    }  # fmt: skip
    assert told["splits"]["train"]["survivors"] == name_of(train)


def test_extract_finds_what_download_kept(empty, server):
    set_of(empty, server)
    empty.ok("download", *LOCAL)
    result = empty.ok("extract", "--backbone", BACKBONE, "--weights", "random:0", "--json")
    fields = json.loads(result.stdout)
    assert (fields["num_faces"], fields["num_missing"]) == (18, 2)


def test_crops_give_the_pixels_that_the_whole_pictures_give(empty, server):
    set_of(empty, server)
    empty.ok("download", *LOCAL)
    fields = json.loads(empty.ok("download", *LOCAL, "--keep", "crop", "--json").stdout)
    assert fields["urls"] == {"pending": 0, "ok": 16, "failed": 2}
    assert len(server.log) == 18  # cut from the pictures that were there
    data, cropped = empty.folder / "data", empty.folder / "data" / "cropped"
    assert (data / "survivors.json").read_text() == (cropped / "survivors.json").read_text()
    for split, number in (("train", 4), ("test", 2)):
        whole = read_annotations(data / f"{split}.csv").triplets
        parts = read_annotations(cropped / f"{split}.csv").triplets
        assert len(whole) == len(parts) == number
        for one, other in zip(whole, parts, strict=True):
            assert (one.type, one.raters, one.answers) == (other.type, other.raters, other.answers)
            for face, part in zip(one.faces, other.faces, strict=True):
                if "missing" in face.image:
                    assert part == face
                    continue
                for margin in (0.0, 0.1, 0.4):
                    crop = CropConfig(input_size=32, margin=margin, decode="full")
                    pixels = load_face(data / "images", face, crop)
                    assert (load_face(cropped / "images", part, crop) == pixels).all()


def test_crops_alone_need_no_whole_picture_on_the_disk(empty, server):
    set_of(empty, server)
    fields = json.loads(empty.ok("download", *LOCAL, "--keep", "crop", "--json").stdout)
    data = empty.folder / "data"
    assert not (data / "images").exists()
    kept = list((data / "cropped" / "images").rglob("*.png"))
    assert len(kept) == 16
    assert fields["stored_bytes"] == sum(path.stat().st_size for path in kept)
    kept[0].unlink()
    asked = len(server.log)
    result = empty.ok("download", *LOCAL, "--keep", "crop")
    assert "1 picture missing or changed on disk" in result.stderr
    assert len(server.log) == asked + 1
    assert len(list((data / "cropped" / "images").rglob("*.png"))) == 16


def test_bad_rows_are_reported_and_a_file_of_another_name_is_read(empty, server):
    path = empty.folder / "faceexp-comparison-data-test-public.csv"
    write_csv(path, [home(server, "ok", n) for n in range(3)])
    path.write_text(path.read_text() + "a,b,c\n")
    result = empty.ok("download", *LOCAL, "--csv", str(path), "--data", "new/data")
    assert "1 of 2 rows" in result.stderr
    with (empty.folder / "new" / "data" / "rejected-test.csv").open(newline="") as file:
        assert [row["line"] for row in csv.DictReader(file)] == ["2"]
    assert "test one_class" in empty.ok("download", "--status", "--data", "new/data").output


def test_a_changed_csv_is_read_again_and_an_unchanged_one_is_not(empty, server, monkeypatch):
    set_of(empty, server)
    empty.ok("download", *LOCAL)
    path = empty.folder / "data" / "test.csv"
    write_csv(path, [home(server, "ok", 100 + n) for n in range(9)], "THREE_CLASS_TRIPLET")
    asked = len(server.log)
    fields = json.loads(empty.ok("download", *LOCAL, "--json").stdout)
    assert sorted(server.log[asked:]) == [f"/ok/{n}.jpg" for n in (106, 107, 108)]
    assert fields["triplets"][0]["usable"] == 3
    monkeypatch.setattr("fec_cache.datasets.download.plan.iter_rows", None)
    empty.ok("download", *LOCAL)


def test_what_can_go_wrong_is_said_in_one_line(empty, server, monkeypatch):
    assert "fec download --data data" in empty.fails("download", "--status")
    line = empty.fails("download")
    assert "data has none of FEC's CSV files. Put them there" in line
    assert "synthesize" not in line
    assert "There is no file nowhere.csv" in empty.fails("download", "--csv", "nowhere.csv")
    data = empty.folder / "data"
    write_csv(data / "train.csv", ["a.jpg", "b.jpg", "c.jpg"])
    assert "No URL in" in empty.fails("download")
    (data / "train.csv").write_text("a,b\n")
    assert "no usable row" in empty.fails("download")
    assert not (data / "survivors.json").exists()
    set_of(empty, server)
    assert "contact is" in empty.misused("download", "--contact", "a\r\nX-Evil: 1")
    assert "per host is 0" in empty.misused("download", "--per-host", "0")
    with FileLock(data / LOCK_NAME):
        assert "Another fec download is running in data" in empty.fails("download", *LOCAL)
    monkeypatch.setattr(
        "fec_cache.datasets.download.disk_space.free_disk_bytes", lambda folder: 1_000_000
    )
    line = empty.fails("download", *LOCAL)
    assert "18 pictures will take about" in line
    assert "--max-gb" in line
    assert server.log == []


@pytest.mark.parametrize("damage", ["text", "hole", "foreign", "column", "newer"])
def test_a_ledger_damaged_by_hand_is_named_and_replaced_without_fetching_again(
    empty, server, damage
):
    set_of(empty, server, missing=0)
    empty.ok("download", *LOCAL)
    path = empty.folder / "data" / LEDGER_NAME
    if damage == "text":
        path.write_text("this is no database" * 100)
    elif damage == "hole":
        content = bytearray(path.read_bytes())
        for place in range(4096, len(content), 4096):
            content[place : place + 200] = b"\xff" * 200
        path.write_bytes(content)
    else:
        script = {"foreign": "DROP TABLE urls; PRAGMA user_version = 0",
                  "column": "ALTER TABLE urls DROP COLUMN error",
                  "newer": "PRAGMA user_version = 9"}  # fmt: skip
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(script[damage])
    for words in ((), ("--status",)):
        assert "cannot be used as the ledger" in empty.fails("download", *LOCAL, *words)
    path.rename(empty.folder / "old")
    asked = len(server.log)
    text = empty.ok("download", *LOCAL).output
    assert "18 pictures found on the disk" in text
    assert len(server.log) == asked


def test_a_full_disk_ends_the_run_with_one_line_and_nothing_is_lost(empty, server, monkeypatch):
    set_of(empty, server, train=60)
    real = Path.write_bytes

    def write(path, content):
        if len(list((empty.folder / "data" / "images").rglob("*.jpg"))) >= 20:
            raise OSError(28, "No space left on device", str(path))
        return real(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", write)
        line = empty.fails("download", *LOCAL, "--concurrency", "4")
    assert "No space left on device" in line
    status = json.loads(empty.ok("download", "--status", "--json").stdout)
    assert status["urls"]["ok"] == 20
    asked = len(server.log)
    fields = json.loads(empty.ok("download", *LOCAL, "--json").stdout)
    assert fields["urls"]["ok"] == 64
    assert len(server.log) <= asked + 66 - 20


def test_progress_without_a_terminal_is_plain_lines(empty, server, monkeypatch):
    monkeypatch.setattr("fec_cache.cli.console._PLAIN_EVERY_S", 0.0)
    set_of(empty, server)
    text = empty.ok("download", *LOCAL).stderr
    last = [line for line in text.splitlines() if line.startswith("Downloading")][-1]
    assert "18/18 URLs" in last
    assert "left, 16 ok, 2 failed" in last
    assert "\r" not in text
    assert "\x1b" not in text


def mixture(server, each):
    few = {"drip": 2, "silent": 2, "endless": 2, "twins": 3, "limited": 2, "busy": 2}
    return [
        server.url(behaviour, number, f"{behaviour}.example")
        for behaviour in EXPECTED
        for number in range(min(each, few.get(behaviour, each)))
    ] + [server.url("ok", 1000 + n, f"h{n % 9}.example") for n in range(each * 10)]


def facts(folder):
    """Everything that a run decides; how often and when it tried is chance."""
    with closing(sqlite3.connect(folder / LEDGER_NAME)) as connection:
        rows = connection.execute(
            "SELECT url, state, kind, sha256, size_bytes, stored_bytes, width, height FROM urls "
            "ORDER BY url"
        ).fetchall()
    files = {str(path.relative_to(folder)): path.stat().st_size
             for path in (folder / "images").rglob("*.jpg")}  # fmt: skip
    return rows, files


def worker(folder):
    return subprocess.Popen(
        [sys.executable, "-m", "fec_cache.testing.download_worker", str(folder)], cwd=ROOT
    )


def test_kills_lose_nothing_and_nothing_that_was_ok_is_fetched_again(server, tmp_path):
    chance = random.Random()
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        write_csv(folder / "train.csv", mixture(server, 12))
    download_worker.run(whole)
    server.log.clear()
    seen = []
    for _ in range(4):
        process = worker(broken)
        while not len(server.log) > (seen[-1][0] if seen else 0):
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(chance.uniform(0.0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(0.1)
        ok = [url for url, state, *_ in facts(broken)[0] if state == "ok"]
        seen.append((len(server.log), {"/" + url.split("/", 3)[3] for url in ok}))
        answered = {path for path in server.answered if path in set(server.log)}
        # At most the 48 in flight were answered and are not in the ledger.
        assert len(answered - seen[-1][1]) <= 48
    download_worker.run(broken)
    for place, ok in seen:
        assert not ok & set(server.log[place:])
    assert facts(broken) == facts(whole)


def num_ok(folder):
    return sum(state == "ok" for _, state, *_ in facts(folder)[0])


def test_an_interrupt_keeps_what_is_finished(tmp_path, server):
    urls = [home(server, "ok", n) for n in range(40)] + [home(server, "drip", 1)]
    write_csv(tmp_path / "train.csv", urls)
    code = "from fec_cache.cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "download", "--data", str(tmp_path), "--allow-private"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until = time.monotonic() + 60
    while not ("/drip/1.jpg" in server.log and num_ok(tmp_path) == 40):
        assert time.monotonic() < until, server.log
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "run the same command again" in errors
    assert "Traceback" not in errors
    states = [row[1] for row in facts(tmp_path)[0]]
    assert (states.count("ok"), states.count("pending")) == (40, 1)
    assert (tmp_path / "survivors.json").is_file()


def test_help_is_there_without_the_heavy_libraries():
    code = (
        "import sys; from fec_cache.cli.main import fec;"
        "fec.main(['download', '--help'], standalone_mode=False);"
        "print([m for m in ('torch', 'httpx', 'PIL', 'numpy') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "[]"
    for flag in ("--status", "--retry-failed", "--max-gb", "--contact", "--keep", "--per-host"):
        assert flag in result.stdout


def test_numbers_of_a_quiet_run(server, tmp_path):
    """A library's user gets records, not text."""
    write_csv(tmp_path / "train.csv", [server.url("ok", n) for n in range(3)])
    outcome = run_download(
        Workspace(data_dir=tmp_path),
        (),
        DownloadConfig(),
        SILENT,
        NetworkAccess(pinned()),
    )
    assert outcome.status.states == {"pending": 0, "ok": 3, "failed": 0}


def test_without_httpx_the_extra_is_named_before_anything_is_written(empty, monkeypatch):
    write_csv(empty.folder / "data" / "train.csv", [f"http://a.example/{n}.jpg" for n in range(3)])
    monkeypatch.setitem(sys.modules, "httpx", None)
    assert empty.fails("download") == (
        "Error: This needs httpx, which is not installed. Run: pip install 'fec_cache[download]'"
    )
    assert [path.name for path in (empty.folder / "data").iterdir()] == ["train.csv"]
