import threading

import pytest

from fec_cache.extraction.workers import PipelineState, StoppedError, Worker


@pytest.fixture
def state():
    return PipelineState()


def worker():
    return Worker(can_decode=True, can_forward=True)


def reserve_in_thread(state, late, size_bytes, limit_bytes):
    """Reserve in another thread; what it raised, and the thread."""
    errors = []

    def work():
        try:
            state.reserve(late, size_bytes, limit_bytes)
        except StoppedError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return errors, thread


def finish(state, thread):
    with state.changed:
        state.changed.notify_all()
    thread.join(10)
    assert not thread.is_alive()


def test_pictures_that_fit_together_are_reserved_at_once(state):
    first, second = worker(), worker()
    state.reserve(first, 60, 100)
    state.reserve(second, 40, 100)
    assert (state.reserved, first.reserved, second.reserved) == (100, 60, 40)
    state.release(first)
    assert (state.reserved, first.reserved) == (40, 0)


def test_a_picture_over_the_limit_waits_until_it_is_alone(state):
    first, late = worker(), worker()
    state.reserve(first, 1, 100)
    errors, thread = reserve_in_thread(state, late, 1000, 100)
    with state.changed:
        assert state.changed.wait_for(lambda: state.reserved == 1, 10)
        assert late.reserved == 0
        state.release(first)
    finish(state, thread)
    assert errors == []
    assert (state.reserved, late.reserved, late.is_waiting) == (1000, 1000, False)


@pytest.mark.parametrize("cause", ["stopped", "error"])
def test_waiting_ends_with_the_run(state, cause):
    late = worker()
    state.reserve(worker(), 100, 100)
    errors, thread = reserve_in_thread(state, late, 1, 100)
    with state.changed:
        state.is_stopped = cause == "stopped"
        state.error = ValueError() if cause == "error" else None
    finish(state, thread)
    assert len(errors) == 1
    assert (state.reserved, late.reserved) == (100, 0)


def test_an_abandoned_worker_reserves_nothing(state):
    late = worker()
    late.is_abandoned = True
    with pytest.raises(StoppedError):
        state.reserve(late, 10, 100)
    assert state.reserved == 0
