import multiprocessing
import os
import signal

import numpy as np
import pytest
import toy

from fec_cache.errors import BadOption, PrecisionLost, WorkerLost
from fec_cache.features import devices as module
from fec_cache.features.cache import FeatureCache
from fec_cache.features.devices import BackboneSource, device_names, extract_on_devices
from fec_cache.features.extract import ExtractOptions

OPTIONS = ExtractOptions(device="cpu", batch_size=2, num_workers=2, shard_faces=4)


class Toy(BackboneSource):
    """Loads the toy in the other process, where it may meet with an accident."""

    def load(self):
        return toy.toy_backbone(delay_s=0.02)


class Deadly(Toy):
    def load(self):
        backbone = toy.toy_backbone(delay_s=0.02)
        first = self.weights and multiprocessing.current_process().name == self.weights
        if first or self.weights is None:
            backbone.module.register_forward_hook(lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        return backbone


class Refusing(Toy):
    def load(self):
        raise PrecisionLost("not its own features")


def source(kind=Toy, weights=None):
    return kind("toy", weights, ("avgpool",), toy.WEIGHTS)


@pytest.fixture
def faces(tmp_path):
    return toy.solid_faces(tmp_path / "images", range(10))


@pytest.fixture
def cache(tmp_path):
    return FeatureCache.create(tmp_path / "cache", toy.toy_recipe())


def run(tmp_path, faces, cache, where, told=None):
    on_progress = told.append if told is not None else None
    return extract_on_devices(
        faces, tmp_path / "images", where, [cache], OPTIONS, ("cpu", "cpu"), on_progress
    )


def test_two_processes_do_the_work_of_one(tmp_path, faces, cache):
    told = []
    summary = run(tmp_path, faces, cache, source(), told)
    assert toy.counts(summary) == (0, 10, 0, 0)
    assert summary.smallest_cosine == pytest.approx(1.0)
    assert toy.numbers_of(tmp_path / "cache", faces) == list(range(10))
    alone = tmp_path / "alone"
    toy.run_toy(alone, tmp_path / "images", faces)
    ours, theirs = (
        FeatureCache.open(next(p.glob("toy*"))).load() for p in (cache.folder.parent, alone)
    )
    rows = theirs.rows()
    wanted = theirs.features[[rows[face_id] for face_id in ours.face_ids]]
    assert np.array_equal(ours.features, wanted)
    assert told[-1].faces_total == 10
    assert toy.counts(run(tmp_path, faces, cache, source())) == (10, 0, 0, 0)


def test_processes_that_die_are_told_and_the_next_run_does_their_work(tmp_path, faces, cache):
    with pytest.raises(WorkerLost, match=r"cpu \(exit code -9\), cpu .* died; 3 shards are not"):
        run(tmp_path, faces, cache, source(Deadly))
    assert toy.counts(run(tmp_path, faces, cache, source())) == (0, 10, 0, 0)


def test_a_process_that_dies_alone_loses_nothing(tmp_path, faces, cache, caplog, monkeypatch):
    monkeypatch.setattr(module, "_Process", _named(module._Process))
    run(tmp_path, faces, cache, source(Deadly, "doomed"))
    assert "The process on cpu (exit code -9) died; the others have done its work" in caplog.text
    assert sorted(toy.numbers_of(tmp_path / "cache", faces)) == list(range(10))


def _named(kind):
    """Call the first process `doomed`."""
    made = []

    class Context:
        def __init__(self, context):
            self.Pipe, self._context = context.Pipe, context

        def Process(self, **settings):  # noqa: N802
            made.append(1)
            name = "doomed" if len(made) == 1 else "spared"
            return self._context.Process(name=name, **settings)

    spawn = multiprocessing.get_context("spawn")

    def start(job):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module.multiprocessing, "get_context", lambda _: Context(spawn))
            return kind(job)

    return start


def test_an_error_keeps_its_kind_on_its_way(tmp_path, faces, cache):
    with pytest.raises(PrecisionLost, match="not its own features"):
        run(tmp_path, faces, cache, source(Refusing))


def test_names_of_devices():
    assert device_names("0, 1") == ("cuda:0", "cuda:1")
    assert device_names("cpu,cuda:3") == ("cpu", "cuda:3")
    with pytest.raises(BadOption, match="devices are '0,,1'"):
        device_names("0,,1")
