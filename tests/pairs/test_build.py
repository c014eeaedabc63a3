from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fec_cache.datasets.annotations import TRIPLET_TYPES, FaceRef, Triplet, read_annotations
from fec_cache.pairs.build import (
    PAIRS_OF_TRIPLET,
    TripletCounts,
    TripletTable,
    build_triplets,
    pairs_from_triplets,
)


def ref(name):
    return FaceRef(f"{name}.jpg", 0.0, 1.0, 0.0, 1.0)


def triplet(names, answers, kind="ONE_CLASS_TRIPLET"):
    raters = tuple(f"r{i}" for i in range(len(answers)))
    return Triplet(tuple(map(ref, names)), kind, raters, tuple(answers))


# Every face has its own row, backwards; "e" is "a" under another name, "z" has no image and "y" no
# feature.
IDS = {ref(name): f"id-{name}" for name in "abcdfy"} | {ref("e"): "id-a"}
ROWS = {"id-a": 9, "id-b": 8, "id-c": 7, "id-d": 6, "id-f": 5}


def table_of(rows, odd=None):
    rows = np.array(rows, np.int64).reshape(-1, 3)
    odd = np.zeros(len(rows), np.int64) if odd is None else np.array(odd, np.int64)
    return TripletTable(rows, odd, np.zeros_like(odd), np.eye(3, dtype=np.int64)[odd])


def test_a_hand_counted_table():
    triplets = [
        triplet("abc", [1, 1, 1, 2, 3, 1], "THREE_CLASS_TRIPLET"),  # 4 of 6 for face 1
        triplet("dbf", [3, 3, 2], "TWO_CLASS_TRIPLET"),  # 2 of 3 for face 3
        triplet("abz", [1]),  # no image
        triplet("aby", [1, 2]),  # no feature, and a tie
        triplet("abe", [1, 2]),  # the same picture twice, and a tie
        triplet("abc", [1, 2, 1, 2, 3]),  # a tie of two
        triplet("abc", [1, 2, 3]),  # a tie of three
        triplet("cba", [2, 2, 1, 3]),  # 2 of 4 for face 2
    ]
    table, counts = build_triplets(triplets, IDS, ROWS, num_rejected=5)
    assert table.rows.tolist() == [[9, 8, 7], [6, 8, 5], [7, 8, 9]]
    assert table.odd.tolist() == [0, 2, 1]
    assert table.types.tolist() == [2, 1, 0]
    assert table.votes.tolist() == [[4, 1, 1], [0, 1, 2], [1, 2, 1]]
    assert {array.dtype for array in (table.rows, table.odd, table.types, table.votes)} == {
        np.dtype(np.int64)
    }
    assert len(table) == 3
    assert counts == TripletCounts(
        num_rows=13, num_rejected=5, num_without_feature=2, num_same_face=1, num_ties=2,
        num_below_agreement=0, num_used=3,
    )  # fmt: skip
    assert counts.in_words() == (
        "13 rows: 3 used, 5 rejected, 2 without a feature, 1 with the same face twice, 2 without "
        "a majority"
    )


@pytest.mark.parametrize(
    ("min_agreement", "num_used"), [(0.0, 3), (0.5, 3), (0.51, 2), (2 / 3, 2), (0.67, 0), (1.0, 0)]
)
def test_agreement_is_a_share_of_the_raters_and_its_limit_is_included(min_agreement, num_used):
    triplets = [
        triplet("abc", [1, 1, 1, 2, 3, 1]),  # 4 / 6
        triplet("dbf", [3, 3, 2]),  # 2 / 3
        triplet("cba", [2, 2, 1, 3]),  # 2 / 4
    ]
    table, counts = build_triplets(triplets, IDS, ROWS, min_agreement)
    assert len(table) == counts.num_used == num_used
    assert counts.num_below_agreement == 3 - num_used


@pytest.mark.parametrize(
    ("answer", "similar", "different"),
    [(1, "bc", {"ac", "ab"}), (2, "ac", {"bc", "ab"}), (3, "ab", {"bc", "ac"})],
)
def test_the_answer_names_the_odd_face_and_the_others_are_alike(
    tmp_path, answer, similar, different
):
    # From FEC's text to pairs: 1 means that faces 2 and 3 are the similar pair, and so on.
    cells = ",".join(f'"{name}.jpg",0,1,0,1' for name in "abc")
    other = answer % 3 + 1
    (tmp_path / "t.csv").write_text(
        f"{cells},TWO_CLASS_TRIPLET,r1,{answer},r2,{other},r3,{answer}\n"
    )
    triplets = read_annotations(tmp_path / "t.csv").triplets
    table, _ = build_triplets(triplets, IDS, ROWS)
    pairs = pairs_from_triplets(table)
    name_of = {row: face_id[-1] for face_id, row in ROWS.items()}
    named = ["".join(sorted(name_of[row] for row in pair)) for pair in pairs.rows.tolist()]
    labelled = dict(zip(named, pairs.is_similar.tolist(), strict=True))
    assert labelled == {similar: True} | dict.fromkeys(different, False)


def test_pair_j_is_the_pair_without_face_j():
    assert [set(range(3)) - set(pair) for pair in PAIRS_OF_TRIPLET] == [{0}, {1}, {2}]


def test_no_triplets_give_empty_tables():
    table, counts = build_triplets([], {}, {})
    assert (table.rows.shape, table.votes.shape, len(table)) == ((0, 3), (0, 3), 0)
    assert counts == TripletCounts(0, 0, 0, 0, 0, 0, 0)
    assert counts.in_words() == "0 rows: 0 used"
    assert pairs_from_triplets(table).rows.shape == (0, 2)


triplets_of_some = st.lists(
    st.builds(
        triplet,
        st.lists(st.sampled_from("abcdefyz"), min_size=3, max_size=3, unique=True),
        st.lists(st.sampled_from([1, 2, 3]), min_size=1, max_size=8),
        st.sampled_from(TRIPLET_TYPES),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(triplets_of_some, st.sampled_from([0.0, 0.4, 0.5, 0.75, 1.0]), st.integers(0, 9))
def test_counts_add_up_and_the_table_agrees_with_a_slow_loop(triplets, min_agreement, num_rejected):
    table, counts = build_triplets(triplets, IDS, ROWS, min_agreement, num_rejected)
    expected, lost = [], Counter()
    for each in triplets:
        rows = [ROWS.get(IDS.get(face)) for face in each.faces]
        (best, top), *others = Counter(each.answers).most_common()
        if None in rows:
            lost["feature"] += 1
        elif len(set(rows)) < 3:
            lost["same"] += 1
        elif others and others[0][1] == top:
            lost["tie"] += 1
        elif top / len(each.answers) < min_agreement:
            lost["agreement"] += 1
        else:
            expected.append((rows, best - 1, TRIPLET_TYPES.index(each.type)))
    built = zip(table.rows.tolist(), table.odd.tolist(), table.types.tolist(), strict=True)
    assert list(built) == expected
    assert counts == TripletCounts(
        len(triplets) + num_rejected, num_rejected, lost["feature"], lost["same"], lost["tie"],
        lost["agreement"], len(expected),
    )  # fmt: skip
    assert counts.num_rows == counts.num_rejected + sum(lost.values()) + counts.num_used


tables = st.lists(
    st.tuples(st.lists(st.integers(0, 6), min_size=3, max_size=3, unique=True), st.integers(0, 2)),
    max_size=15,
).map(lambda entries: table_of([rows for rows, _ in entries], [odd for _, odd in entries]))


@given(tables)
def test_pairs_agree_with_a_slow_loop(table):
    rows, is_similar = [], []
    for (first, second, third), odd in zip(table.rows.tolist(), table.odd.tolist(), strict=True):
        rows += [[second, third], [first, third], [first, second]]
        is_similar += [odd == 0, odd == 1, odd == 2]
    pairs = pairs_from_triplets(table)
    assert pairs.rows.tolist() == rows
    assert pairs.is_similar.tolist() == is_similar
    assert (pairs.rows.dtype, pairs.is_similar.dtype) == (np.int64, np.bool_)


def test_take_selects_by_mask_or_by_index():
    table = table_of([[0, 1, 2], [3, 4, 5], [6, 7, 8]], odd=[0, 1, 2])
    taken = table.take(np.array([False, True, True]))
    assert taken.rows.tolist() == [[3, 4, 5], [6, 7, 8]]
    assert taken.odd.tolist() == [1, 2]
    assert taken.votes.tolist() == [[0, 1, 0], [0, 0, 1]]
    assert table.take(np.array([2, 0])).odd.tolist() == [2, 0]
