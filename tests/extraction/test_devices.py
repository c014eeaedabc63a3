import numpy as np
import pytest

from fec_cache.cache.cache import FeatureCache
from fec_cache.errors import BadOption, PrecisionLost, WorkerLost
from fec_cache.extraction import devices as module
from fec_cache.extraction.config import ExtractConfig
from fec_cache.extraction.devices import check_devices, extract_on_devices
from fec_cache.testing import crashes, toy

OPTIONS = ExtractConfig(device="cpu", batch_size=2, num_workers=2, shard_faces=4)


@pytest.fixture
def faces(tmp_path):
    return toy.solid_faces(tmp_path / "images", range(10))


@pytest.fixture
def cache(tmp_path):
    return FeatureCache.create(tmp_path / "cache", toy.toy_recipe())


@pytest.fixture
def quick_start(monkeypatch, processes):
    """Processes that need not load torch: what is tested is not how they start."""
    monkeypatch.setattr(module.multiprocessing, "get_context", lambda _: processes)


def run(tmp_path, faces, cache, doomed="", omen=None, progress=None):
    """Two processes, of which those with `doomed` in their name are killed at work."""
    source = crashes.ToySource("toy", None, ("avgpool",), toy.WEIGHTS, doomed, omen)
    on_progress = progress.append if progress is not None else None
    devices = ("cpu", "cpu:0")
    images_dir = tmp_path / "images"
    return extract_on_devices(faces, images_dir, source, [cache], OPTIONS, devices, on_progress)


def test_two_processes_do_the_work_of_one(tmp_path, faces, cache):
    progress = []
    summary = run(tmp_path, faces, cache, progress=progress)
    assert toy.counts(summary) == (0, 10, 0, 0)
    assert summary.smallest_cosine == pytest.approx(1.0)
    assert sorted(toy.numbers_of(tmp_path / "cache", faces)) == list(range(10))
    alone = tmp_path / "alone"
    toy.run_toy(alone, tmp_path / "images", faces)
    ours, theirs = toy.load(tmp_path / "cache"), toy.load(alone)
    rows = theirs.rows()
    wanted = theirs.features[[rows[face_id] for face_id in ours.face_ids]]
    assert np.array_equal(ours.features, wanted)
    assert progress[-1].faces_total == 10


def test_processes_that_die_are_reported_and_the_next_run_does_their_work(
    quick_start, tmp_path, faces, cache
):
    message = (
        r"The process on cpu \(exit code -9\), cpu:0 \(exit code -9\) died; shards not done: 3\."
    )
    with pytest.raises(WorkerLost, match=message):
        run(tmp_path, faces, cache, "extract on")
    assert toy.counts(toy.run_toy(tmp_path / "cache", tmp_path / "images", faces)) == (0, 10, 0, 0)


def test_a_process_that_dies_alone_loses_nothing(quick_start, tmp_path, faces, cache, caplog):
    run(tmp_path, faces, cache, "cpu:0", tmp_path / "omen")
    assert "The process on cpu:0 (exit code -9) died; the others did its work" in caplog.text
    assert sorted(toy.numbers_of(tmp_path / "cache", faces)) == list(range(10))


def test_an_error_is_sent_with_its_kind(tmp_path, faces, cache):
    class Refusing(crashes.ToySource):
        def load(self):
            raise PrecisionLost("not its own features")

    class Link(list):
        send = list.append

    source = Refusing("toy", None, ("avgpool",), toy.WEIGHTS)
    sent = Link()
    module._work(module._Job(faces, tmp_path, source, (cache.folder,), OPTIONS), sent)
    assert sent == [("error", ("PrecisionLost", "not its own features"))]


def test_devices_are_counted_before_they_are_used(monkeypatch):
    monkeypatch.setattr(module.torch.cuda, "device_count", lambda: 2)
    check_devices(("cuda:0", "cuda:1", "cpu", "cpu:0"))
    with pytest.raises(BadOption, match=r"'cuda:2' cannot be used here: .*: 2\."):
        check_devices(("cuda:0", "cuda:2"))
    with pytest.raises(BadOption, match="'nope' cannot be used here"):
        check_devices(("cpu", "nope"))
    with pytest.raises(BadOption, match="expected auto, cpu, cuda, cuda:1 or mps"):
        check_devices(("meta",))
