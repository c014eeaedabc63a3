"""`fec download` in words and as fields; one run per folder. The network is tested elsewhere."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from fec_cache.datasets.download.config import DownloadConfig
from fec_cache.datasets.download.recorder import Progress
from fec_cache.datasets.download.status import (
    DownloadStatus,
    HostStatus,
    KindStatus,
    TripletStatus,
)
from fec_cache.errors import AlreadyRunning, MissingData, MissingExtra
from fec_cache.system.reporter import SILENT
from fec_cache.system.workspace import Workspace
from fec_cache.workflows.download import LOCK_NAME, StatusOutcome, download, download_status

STATUS = DownloadStatus(
    states={"pending": 2, "ok": 7, "failed": 1},
    stored_bytes=250_000_000,
    hosts=(HostStatus("a.org", 5, 0, 0), HostStatus("", 2, 1, 2)),
    kinds=(KindStatus("timeout", 1, True, "no answer in 30 s"),),
    triplets=(TripletStatus("train", "ONE_CLASS_TRIPLET", 9, 4),),
    survivors={"images": 1, "survivors": "abcdef0123456789ff"},
)


def test_a_status_in_words():
    url, hosts, failures, triplets, survivors = StatusOutcome(Path("data"), STATUS).parts()
    assert url == "10 URLs: 7 ok (0.25 GB), 1 failed, 2 pending"
    assert hosts.rows == [["a.org", "5", "0", "0"], ["(none)", "2", "1", "2"]]
    assert failures.rows == [["timeout", "1", "yes", "no answer in 30 s"]]
    assert triplets.rows == [["train one_class", "4", "9"]]
    assert survivors == ("Survivors: 1 distinct image, set abcdef0123456789 (data/survivors.json)")


def test_many_hosts_are_summed_up():
    hosts = tuple(HostStatus(f"h{n:02}", 100 - n, n, 1) for n in range(25))
    status = dataclasses.replace(STATUS, hosts=hosts, kinds=())
    parts = StatusOutcome(Path("data"), status).parts()
    assert len(parts) == 4  # no table of failures
    assert len(parts[1].rows) == 21
    assert parts[1].rows[-1] == ["5 other hosts", str(80 + 79 + 78 + 77 + 76), "110", "5"]


def test_a_run_in_words():
    progress = Progress(10, 7, 1, 2, 12_000_000, "the disk is full", {"slow.org": 1})
    outcome = StatusOutcome(Path("data"), STATUS, progress)
    assert outcome.parts()[0].splitlines() == [
        "This run: 7 ok, 1 failed of 10; 12.0 MB received",
        "2 pictures found on the disk and recorded without a download",
        "Stopped: the disk is full. The remaining URLs stay pending.",
        "slow.org asked for a longer pause: 1 URL left pending, run again later",
    ]
    fields = json.loads(json.dumps(outcome.to_dict()))
    assert fields["run"]["parked"] == {"slow.org": 1}
    assert fields["urls"] == STATUS.states
    assert "run" not in StatusOutcome(Path("data"), STATUS).to_dict()


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace(tmp_path / "data", tmp_path / "cache", tmp_path / "runs")
    workspace.data_dir.mkdir()
    (workspace.data_dir / "train.csv").write_text("x\n")
    return workspace


def test_a_second_run_in_the_same_folder_is_refused(workspace):
    with (
        FileLock(workspace.data_dir / LOCK_NAME),
        pytest.raises(AlreadyRunning, match="fec download --status --data"),
    ):
        download(workspace, (), DownloadConfig(), SILENT)


def test_without_httpx_nothing_is_started(workspace, monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(MissingExtra, match=r"fec_cache\[download\]"):
        download(workspace, (), DownloadConfig(), SILENT)
    assert [path.name for path in workspace.data_dir.iterdir()] == ["train.csv"]


def test_a_folder_without_a_ledger_has_no_status(workspace):
    with pytest.raises(MissingData):
        download_status(workspace)
