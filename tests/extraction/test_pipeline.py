import dataclasses
import os
import threading
import time

import numpy as np
import pytest
import torch

from fec_cache.extraction import batches as batches_module
from fec_cache.extraction import pipeline as module
from fec_cache.extraction.batches import Decoder, StageSeconds
from fec_cache.extraction.memory import MemoryPlan
from fec_cache.extraction.pipeline import Pipeline
from fec_cache.extraction.workers import PipelineOptions
from fec_cache.faces.crop import CropConfig
from fec_cache.inference.network import Network
from fec_cache.testing import toy

CPU = torch.device("cpu")
OPTIONS = PipelineOptions(2, 2, 0, 1, MemoryPlan(64, 1 << 20), 60.0)


@pytest.fixture
def images_dir(tmp_path):
    return tmp_path / "images"


def pipeline(images_dir, backbone=None, check=lambda *_: None, **options):
    network = Network(backbone or toy.toy_backbone(), CPU)
    decoder = Decoder(images_dir, CropConfig(4, 0.0), StageSeconds())
    return Pipeline(decoder, network, dataclasses.replace(OPTIONS, **options), check)


def solid(images_dir, numbers):
    return toy.solid_faces(images_dir, numbers).present


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "decode"]


@pytest.mark.parametrize(("num_workers", "num_forward"), [(1, 0), (3, 0), (2, 1), (1, 2)])
def test_results_come_in_order_whatever_ends_first(
    images_dir, monkeypatch, num_workers, num_forward
):
    faces = solid(images_dir, range(21))
    load = Decoder.load

    def slow_at_times(self, group, reserve):
        time.sleep(0.01 if int(group[0].ref.image[:4]) % 3 == 0 else 0)
        return load(self, group, reserve)

    monkeypatch.setattr(Decoder, "load", slow_at_times)
    pieces = [faces[:5], faces[5:6], faces[6:]]
    line = pipeline(images_dir, num_workers=num_workers, num_forward=num_forward)
    found = list(line.results(pieces))
    assert [face for result in found for face in result.faces] == list(faces)
    sizes = [(result.piece, len(result.faces)) for result in found]
    assert sizes == [(0, 2), (0, 2), (0, 1), (1, 1), *[(2, 2)] * 7, (2, 1)]
    features = np.concatenate([result.features["avgpool", False] for result in found])
    wanted = [toy.feature_of(toy.colour_of(number)) for number in range(21)]
    np.testing.assert_allclose(features, wanted, rtol=1e-5)
    assert threads() == []


def test_reading_ahead_is_bounded(images_dir):
    faces = solid(images_dir, range(60))
    backbone = toy.toy_backbone()
    results = pipeline(images_dir, backbone, memory=MemoryPlan(10, 1 << 20)).results([faces])
    next(results)
    for _ in range(30):
        time.sleep(0.01)
    # Ten under way, and the two of the result that was taken.
    assert len(backbone.module.shapes) <= (10 + 2) / 2
    results.close()
    assert threads() == []


def test_pictures_that_would_fill_the_memory_are_decoded_one_at_a_time(images_dir, monkeypatch):
    faces = solid(images_dir, range(8))
    now, most = [0], [0]
    cut = batches_module.Picture.cut

    def watched(self, *args):
        now[0] += 1
        most[0] = max(most[0], now[0])
        time.sleep(0.01)
        now[0] -= 1
        return cut(self, *args)

    monkeypatch.setattr(batches_module.Picture, "cut", watched)
    tight = pipeline(images_dir, num_workers=4, memory=MemoryPlan(64, 1))
    assert sum(len(result.faces) for result in tight.results([faces])) == 8
    assert most[0] == 1
    most[0] = 0
    roomy = pipeline(images_dir, num_workers=4)
    assert sum(len(result.faces) for result in roomy.results([faces])) == 8
    assert most[0] > 1


def test_an_image_that_hangs_is_left_and_the_run_goes_on(images_dir, monkeypatch, caplog):
    faces = solid(images_dir, range(8))
    dead = threading.Event()
    load = Decoder.load

    def hanging(self, group, reserve):
        if group[0].ref.image == "0003.png":
            dead.wait(30)
        return load(self, group, reserve)

    monkeypatch.setattr(Decoder, "load", hanging)
    monkeypatch.setattr(module, "_TICK_S", 0.05)
    line = pipeline(images_dir, num_workers=1, image_timeout_s=0.3)
    found = list(line.results([faces]))
    assert [face.ref.image for result in found for face in result.faces] == [
        f"{number:04d}.png" for number in (0, 1, 2, 4, 5, 6, 7)
    ]
    ((face, reason),) = [failed for result in found for failed in result.failed]
    assert face.ref.image == "0003.png"
    assert reason == "could not be read and decoded within 0.3 s"
    assert "0003.png took longer than 0.3 s" in caplog.text
    dead.set()  # what the abandoned thread brings now is ignored
    for thread in threads():
        thread.join(5)
    assert threads() == []


def test_an_error_in_a_thread_is_not_swallowed(images_dir, monkeypatch):
    faces = solid(images_dir, range(3))
    monkeypatch.setattr(batches_module.Picture, "cut", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(pipeline(images_dir).results([faces]))
    assert threads() == []


def test_nothing_is_given_out_before_the_check_returned(images_dir):
    faces = solid(images_dir, range(20))
    returned = []

    def slow_check(features, batch):
        time.sleep(0.1)
        returned.append(len(batch.rows))

    results = pipeline(images_dir, check=slow_check).results([faces])
    next(results)
    assert returned == [2]
    assert len(list(results)) == 9
    assert returned == [2]


def test_a_failed_check_ends_the_run_without_a_result(images_dir):
    def check(features, batch):
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        next(pipeline(images_dir, check=check).results([solid(images_dir, range(20))]))


def test_faces_without_a_picture_need_no_check(images_dir):
    faces = solid(images_dir, range(3))
    toy.hide(images_dir, 0, 1, 2)
    found = list(pipeline(images_dir, check=lambda *_: 1 / 0).results([faces]))
    assert [len(result.failed) for result in found] == [2, 1]
    assert all(not result.features for result in found)


def test_threads_inside_of_the_network_are_as_asked_and_given_back(images_dir):
    found = []

    class Looking(torch.nn.Module):
        def forward(self, images):
            found.append(torch.get_num_threads())
            return {"avgpool": images.mean((2, 3))}

    backbone = dataclasses.replace(toy.toy_backbone(), module=Looking())
    before = torch.get_num_threads()
    list(pipeline(images_dir, backbone, num_threads=3).results([solid(images_dir, range(4))]))
    assert set(found) == {3}
    assert torch.get_num_threads() == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_the_place_of_an_image_does_not_hang(images_dir):
    faces = solid(images_dir, range(3))
    (images_dir / "0001.png").unlink()
    os.mkfifo(images_dir / "0001.png")
    found = list(pipeline(images_dir).results([faces]))
    assert [reason for result in found for _, reason in result.failed] == [
        "cannot be read: not a regular file"
    ]
