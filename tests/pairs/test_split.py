import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fec_cache.errors import NothingToTrain
from fec_cache.pairs.build import TripletTable
from fec_cache.pairs.split import split_triplets


def table_of(rows):
    rows = np.array(rows, np.int64).reshape(-1, 3)
    number = np.arange(len(rows))  # identifies each triplet
    return TripletTable(rows, number % 3, number, np.stack([number] * 3, axis=1))


def random_table(num_triplets, num_faces, seed=0):
    rng = np.random.default_rng(seed)
    rows = [rng.choice(num_faces, 3, replace=False) * 7 + 1 for _ in range(num_triplets)]
    return table_of(rows)


def islands(num_islands, triplets_each, faces_each=6, seed=0):
    """Groups of faces that meet within the group only."""
    rng = np.random.default_rng(seed)
    rows = []
    for island in range(num_islands):
        random = {
            tuple(sorted(rng.choice(faces_each, 3, replace=False).tolist())) for _ in range(90)
        }
        chain = [(i, i + 1, i + 2) for i in range(faces_each - 2)]
        picked = [*chain, *sorted(random - set(chain))][:triplets_each]
        rows += [[face + island * faces_each for face in three] for three in picked]
    return table_of(rows)


def faces_of(table):
    return set(table.rows.ravel().tolist())


def numbers_of(table):
    return table.types.tolist()


def assert_is_sound(table, split):
    assert not faces_of(split.train) & faces_of(split.validation)
    numbers = numbers_of(split.train) + numbers_of(split.validation)
    assert len(set(numbers)) == len(numbers) == len(table) - split.num_dropped
    for part in (split.train, split.validation):
        assert len(part)
        whole = table.take(np.array(numbers_of(part)))
        assert part.rows.tolist() == whole.rows.tolist()
        assert part.odd.tolist() == whole.odd.tolist()
        assert part.votes.tolist() == whole.votes.tolist()


def test_components_go_whole_to_one_side():
    table = islands(20, triplets_each=5)
    split = split_triplets(table, 0.1, seed=0)
    assert (split.method, split.num_dropped) == ("components", 0)
    assert (len(split.validation), len(split.train)) == (10, 90)
    assert_is_sound(table, split)


def test_one_connected_graph_is_split_by_faces():
    table = random_table(400, 60)
    split = split_triplets(table, 0.1, seed=0)
    assert split.method == "faces"
    assert len(split.validation) >= 40
    assert split.num_dropped == 400 - len(split.train) - len(split.validation) > 0
    assert_is_sound(table, split)


def test_faces_validation_holds_no_more_than_enough():
    table = random_table(4000, 3000)
    large = split_triplets(table, 0.9, seed=0)
    assert large.method == "faces"
    assert 1000 <= len(large.validation) < 1005  # the last face may complete several
    assert_is_sound(table, large)


def test_a_component_too_large_is_skipped():
    # One island of 60 triplets beside 10 of one: the small ones can give 10 %.
    big = random_table(60, 12).rows
    small = [[1000 + 3 * i, 1001 + 3 * i, 1002 + 3 * i] for i in range(10)]
    table = table_of([*big.tolist(), *small])
    for seed in range(10):
        split = split_triplets(table, 0.1, seed)
        assert (split.method, len(split.validation)) == ("components", 7)


def test_components_far_from_the_share_are_not_taken():
    big = random_table(200, 15).rows
    table = table_of([*big.tolist(), [1000, 1001, 1002]])  # 1 triplet is far from 10 % of 201
    assert split_triplets(table, 0.1, seed=0).method == "faces"


def test_validation_never_takes_every_component():
    table = table_of([[0, 1, 2], [1, 2, 3], [4, 5, 6], [5, 6, 7]])
    for seed in range(10):
        split = split_triplets(table, 0.7, seed)
        assert (len(split.train), len(split.validation)) == (2, 2)


def test_edges_repeated_very_often_still_join():
    # 256 triplets over the same two faces: a count of one byte would wrap around to zero.
    hub = [[0, 1, 10 + i] for i in range(256)]
    split_of_all = table_of([*hub, [5000, 5001, 5002]])
    split = split_triplets(split_of_all, 0.004, seed=0)
    assert split.method == "components"
    assert numbers_of(split.validation) == [256]
    assert len(split.train) == 256


def test_one_seed_one_split():
    for table in (islands(20, 5), random_table(300, 90)):
        first, again, other = (split_triplets(table, 0.1, seed) for seed in (3, 3, 4))
        assert numbers_of(first.validation) == numbers_of(again.validation)
        assert numbers_of(first.train) == numbers_of(again.train)
        assert numbers_of(first.validation) != numbers_of(other.validation)


@pytest.mark.parametrize(
    "rows",
    [[], [[0, 1, 2]], [[0, 1, 2], [2, 3, 4]], [[0, 1, 2]] * 50],
    ids=["nothing", "one triplet", "two that share a face", "one triplet many times"],
)
@pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
def test_an_impossible_split_raises(rows, share):
    with pytest.raises(NothingToTrain) as caught:
        split_triplets(table_of(rows), share, seed=0)
    things = "triplet" if len(rows) == 1 else "triplets"
    assert str(caught.value).startswith(f"{len(rows)} usable {things} cannot be split")


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(
        st.lists(st.integers(0, 25), min_size=3, max_size=3, unique=True), max_size=30
    ),
    share=st.floats(0.01, 0.9),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_no_face_is_on_both_sides(rows, share, seed):
    table = table_of(rows)
    try:
        split = split_triplets(table, share, seed)
    except NothingToTrain:
        return
    assert_is_sound(table, split)
    assert split.method in ("components", "faces")
    if split.method == "components":
        assert split.num_dropped == 0
        # More than asked for only as one island that is no larger than what training keeps.
        got = len(split.validation) / len(rows)
        # 1.5 times 0.6 is less than 0.9 in floating point.
        assert 0.5 * share - 1e-9 <= got <= max(1.5 * share, 0.5) + 1e-9


def test_one_large_component_is_better_than_splitting_faces():
    """Two islands of 15 triplets: one of them is more than asked for, but nothing is dropped."""
    table = islands(2, 15)
    split = split_triplets(table, 0.1, 0)
    assert_is_sound(table, split)
    assert (split.method, split.num_dropped) == ("components", 0)
    assert (len(split.train), len(split.validation)) == (15, 15)
