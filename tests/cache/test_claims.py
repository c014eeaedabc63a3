import os
import signal
import time

import pytest

from fec_cache.cache import claims as module
from fec_cache.cache.claims import CLAIMS_NAME, Claims

pytest.importorskip("fcntl")

FIRST, SECOND = "0" * 32, "1" * 32


def hold(folder, pipe, plans):
    with Claims(folder) as claims:
        pipe.send([claims.take(plan) for plan in plans])
        pipe.recv()


@pytest.fixture
def holder(tmp_path, processes):
    """Another process that holds claims until it is asked to end, or killed."""
    ours, theirs = processes.Pipe()
    child = processes.Process(target=hold, args=(tmp_path, theirs, [FIRST]))
    child.start()
    assert ours.poll(60)
    assert ours.recv() == [True]
    yield child, ours
    child.kill()
    child.join(60)


def test_what_another_process_holds_is_not_ours(tmp_path, holder):
    with Claims(tmp_path) as claims:
        assert not claims.take(FIRST)
        assert claims.take(SECOND)
        assert claims.take(SECOND)


@pytest.mark.parametrize("end", ["asked", "killed"])
def test_a_claim_ends_with_its_process(tmp_path, holder, end):
    child, pipe = holder
    with Claims(tmp_path) as claims:
        assert not claims.take(FIRST)
        if end == "asked":
            pipe.send(None)
        else:
            os.kill(child.pid, signal.SIGKILL)
        started = time.monotonic()
        claims.wait_for_any([FIRST])
        assert time.monotonic() - started < 30
        assert claims.take(FIRST)
    assert (tmp_path / CLAIMS_NAME).stat().st_size == 0


def test_nothing_to_wait_for_does_not_wait(tmp_path):
    with Claims(tmp_path) as claims:
        claims.wait_for_any([])


def test_where_nothing_can_be_locked_every_claim_is_granted(tmp_path, monkeypatch, holder):
    with Claims(tmp_path / "no folder") as claims:
        assert claims.take(FIRST)
    monkeypatch.setattr(module, "fcntl", None)
    with Claims(tmp_path) as claims:
        assert claims.take(FIRST)
        claims.release(FIRST)
