"""Failures are reported in files; `tests/extraction/test_faults.py` kills processes at steps."""

import os

import pytest

from fec_cache.testing import crashes, toy


@pytest.fixture
def inputs(tmp_path):
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache", tmp_path / "images", toy.solid_faces(tmp_path / "images", range(5))


def test_a_condition_that_never_holds_times_out():
    with pytest.raises(TimeoutError, match="did not hold within"):
        crashes.wait_for(lambda: False, 0.01)


def test_without_a_fault_the_number_of_computed_faces_is_written(inputs):
    crashes.run_with_fault(*inputs)
    assert (inputs[0] / f"computed-{os.getpid()}.txt").read_text() == "5"


def test_an_error_is_written_and_ends_the_process(inputs):
    try:
        with pytest.raises(SystemExit) as caught:
            crashes.run_with_fault(*inputs, failpoint="write:*:1:EIO")
    finally:
        crashes.failpoints.arm("")
    assert caught.value.code == 1
    assert (inputs[0] / "error.txt").read_text().startswith("StorageFailed: ")


def test_a_source_that_is_not_doomed_loads_the_toy_after_the_last_words(tmp_path):
    (tmp_path / "last words").touch()
    source = crashes.ToySource(
        "toy", None, ("avgpool",), toy.WEIGHTS, "no such process", tmp_path / "last words"
    )
    assert source.load().weights.identity == toy.WEIGHTS
