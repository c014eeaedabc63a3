import pytest
from hypothesis import given
from hypothesis import strategies as st

from fec_cache.datasets.annotations import FaceRef
from fec_cache.extraction.plan import faces_per_shard, plan_work
from fec_cache.faces.table import Face


def face(number):
    return Face(f"{number:032x}", FaceRef(f"{number}.png", 0.0, 1.0, 0.0, 1.0))


def faces(numbers):
    return tuple(face(number) for number in numbers)


def ids(numbers):
    return {face(number).face_id for number in numbers}


def numbers_of(items):
    return [[int(face.face_id, 16) for face in item.faces] for item in items]


def test_fresh_faces_are_cut_in_order():
    items = plan_work(faces(range(7)), set(), set(), 3)
    assert numbers_of(items) == [[0, 1, 2], [3, 4, 5], [6]]
    assert not any(item.is_retry for item in items)
    assert len({item.plan for item in items}) == 3


def test_plans_are_pinned():
    (item,) = plan_work(faces([1, 2]), set(), set(), 3)
    (retry,) = plan_work(faces([1, 2]), set(), ids([1, 2]), 3)
    assert item.plan == "751e52c6956c49c4aad8849d1c07370f"
    assert retry.is_retry
    assert retry.plan != item.plan


def test_begun_pieces_come_after_whole_ones_and_retries_last():
    items = plan_work(faces(range(9)), ids([0, 3]), ids([1, 4]), 3)
    assert numbers_of(items) == [[6, 7, 8], [2, 5], [1, 4]]
    assert [item.is_retry for item in items] == [False, False, True]


def test_a_piece_whose_faces_all_failed_is_retried():
    items = plan_work(faces(range(6)), ids([3, 4, 5]), ids([0, 1, 2]), 3)
    assert numbers_of(items) == [[0, 1, 2]]
    assert items[0].is_retry


def test_faces_added_in_the_middle_leave_the_stored_ones_alone():
    items = plan_work(faces([0, 1, 10, 2, 3, 11, 4]), ids(range(5)), set(), 3)
    assert numbers_of(items) == [[10, 11]]


def test_nothing_is_left_when_all_is_stored():
    assert plan_work(faces(range(9)), ids(range(12)), set(), 4) == ()
    assert plan_work((), set(), set(), 4) == ()


numbers = st.lists(st.integers(0, 60), unique=True, max_size=40)
some = st.sets(st.integers(0, 60))
sizes = st.integers(1, 9)


@given(numbers, some, some, sizes)
def test_every_face_is_stored_or_planned_exactly_once(order, stored, failed, size):
    items = plan_work(faces(order), ids(stored), ids(failed), size)
    planned = [number for piece in numbers_of(items) for number in piece]
    assert sorted(planned) == sorted(set(order) - stored)
    assert all(1 <= len(item.faces) <= size for item in items)
    for item, piece in zip(items, numbers_of(items), strict=True):
        assert set(piece) <= failed if item.is_retry else not set(piece) & failed
    assert len({item.plan for item in items}) == len(items)


@given(numbers, some, some, sizes, st.sets(st.integers(0, 60)), st.data())
def test_resuming_after_any_sealed_pieces_gives_the_same_pieces(
    order, stored, failed, size, unusable, data
):
    failed = failed - stored
    items = plan_work(faces(order), ids(stored), ids(failed), size)
    fresh = [item for item in items if not item.is_retry]
    num_sealed = data.draw(st.integers(0, len(fresh)))
    sealed = {number for piece in numbers_of(fresh[:num_sealed]) for number in piece}
    again = plan_work(
        faces(order), ids(stored | (sealed - unusable)), ids(failed | (sealed & unusable)), size
    )
    assert [item for item in again if not item.is_retry] == fresh[num_sealed:]


@given(numbers, numbers, sizes)
def test_growth_plans_the_new_faces_only(order, grown, size):
    after = sorted({*order, *grown})
    items = plan_work(faces(after), ids(order), set(), size)
    assert sorted(number for piece in numbers_of(items) for number in piece) == sorted(
        set(grown) - set(order)
    )


@pytest.mark.parametrize(
    ("width", "itemsize", "wanted", "expected"),
    [
        (512, 2, 1024, 1024),
        (512, 2, 10**6, 65536),
        (49 * 512, 2, 4096, 1337),
        (49 * 512, 4, 4096, 668),
        (1 << 30, 4, 10, 1),
    ],
)
def test_shards_stay_under_64_mebibytes(width, itemsize, wanted, expected):
    assert faces_per_shard(width, itemsize, wanted) == expected
    assert expected == 1 or expected * width * itemsize <= 64 << 20
