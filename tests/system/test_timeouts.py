import threading
import time

import pytest

from fec_cache.faces import digests
from fec_cache.faces.digests import ImageDigests, read_index
from fec_cache.system import timeouts
from fec_cache.system.timeouts import TooSlow, each_in_time


@pytest.fixture
def wall():
    """What hangs until the test is over."""
    event = threading.Event()
    yield event
    event.set()


def test_all_items_come_in_order_from_one_other_thread():
    threads = set()

    def work(number):
        threads.add(threading.current_thread())
        return number * number

    assert list(each_in_time(range(500), work, 5.0)) == [(n, n * n) for n in range(500)]
    assert len(threads) == 1
    assert threading.current_thread() not in threads
    assert list(each_in_time([], work, 5.0)) == []


def test_what_hangs_is_left_and_the_rest_goes_on(wall):
    def work(number):
        if number in (0, 3, 4):
            wall.wait()
        return number

    started = time.monotonic()
    found = list(each_in_time(range(6), work, 0.3))
    assert [item for item, _ in found] == list(range(6))
    assert [isinstance(value, TooSlow) for _, value in found] == [
        True,
        False,
        False,
        True,
        True,
        False,
    ]
    assert time.monotonic() - started < 20


def test_a_late_result_is_ignored():
    """A read that ends after it was given up adds nothing."""
    answers = iter([1.0, 0.0, 0.0])

    def work(number):
        time.sleep(next(answers))
        return number

    def slowly():
        for found in each_in_time(range(3), work, 0.3):
            yield found
            time.sleep(0.5)

    found = list(slowly())
    assert isinstance(found[0][1], TooSlow)
    assert found[1:] == [(1, 1), (2, 2)]


def test_errors_are_raised_where_the_items_are_asked_for():
    def work(number):
        if number == 2:
            raise MemoryError("no memory")
        return number

    found = []
    with pytest.raises(MemoryError, match="no memory"):
        found.extend(each_in_time(range(9), work, 5.0))
    seen = []
    with pytest.raises(MemoryError):
        for item, _ in each_in_time(range(9), work, 5.0):
            seen.append(item)
    assert seen == [0, 1]


def test_closing_the_iterator_ends_the_work():
    done = []
    looks = each_in_time(range(10**9), lambda number: done.append(number), 5.0)
    next(looks)
    looks.close()
    time.sleep(0.05)
    num_done = len(done)
    time.sleep(0.2)
    assert len(done) == num_done


def test_time_in_which_the_program_was_halted_does_not_count(monkeypatch):
    clock = iter(range(0, 10**9, 3600))  # every look at the clock is an hour later
    monkeypatch.setattr(timeouts.time, "monotonic", lambda: next(clock))
    found = list(each_in_time([1], lambda item: time.sleep(0.3) or item, 30.0))
    assert found == [(1, 1)]


def test_an_image_whose_reading_hangs_is_a_face_without_an_image(
    tmp_path, monkeypatch, wall, caplog
):
    images, cache, read = tmp_path / "images", tmp_path / "cache", digests.read_regular
    for folder in (images, cache):
        folder.mkdir()
    for name in "abc":
        (images / name).write_bytes(name.encode())

    def hanging(path):
        if path.name == "b":
            wall.wait()
        return read(path)

    monkeypatch.setattr(digests, "read_regular", hanging)
    found = ImageDigests(cache, limit_s=0.3).lookup(images, list("abc"))
    assert found["b"] == ("", "could not be read within 0.3 s")
    assert [len(found[name][0]) for name in "ac"] == [64, 64]
    assert caplog.messages == ["b could not be read within 0.3 s and is skipped"]
    remembered = read_index(cache / digests.INDEX_NAME).entries
    assert sorted(image for _, image in remembered) == ["a", "c"]
    # The next run tries it again.
    monkeypatch.setattr(digests, "read_regular", read)
    assert len(ImageDigests(cache, limit_s=0.3).lookup(images, ["b"])["b"][0]) == 64
