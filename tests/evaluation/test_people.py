"""Figures by person, against slow loops."""

import math

import numpy as np
import pytest

from fec_cache.evaluation.measures.bootstrap import FaceBootstrap
from fec_cache.evaluation.people import RowLabels, identity_figures, people_on_both_sides
from fec_cache.pairs.build import PAIRS_OF_TRIPLET, TripletTable


def faces_of(num_people=20, num_words=4, each=12, seed=0):
    rng = np.random.default_rng(seed)
    identity = np.repeat(np.arange(num_people), each)
    expression = rng.integers(0, num_words, len(identity))
    noise = rng.normal(0, 0.01, (2, len(identity)))
    features = np.stack([identity + noise[0], expression + noise[1]], axis=1).astype(np.float32)
    words = tuple(f"word{i}" for i in range(num_words))
    return features, RowLabels(identity, expression, words)


def triplets_of(labels, num=900, seed=1):
    rng = np.random.default_rng(seed)
    rows = np.argpartition(rng.random((num, len(labels.identity))), 3, axis=1)[:, :3]
    # People meet themselves seldom by chance: the second face is often one of the first's person.
    same = rng.random(num) < 0.6
    rows[same, 1] = rows[same, 0] // 12 * 12 + (rows[same, 0] + 1 + rng.integers(0, 11)) % 12
    rows = rows[[len(set(row)) == 3 for row in rows.tolist()]]
    odd = rng.integers(0, 3, len(rows))
    return TripletTable(rows, odd, rng.integers(0, 3, len(rows)), np.eye(3, dtype=np.int64)[odd])


def test_a_head_that_sees_the_person_has_the_whole_gap():
    _, labels = faces_of()
    table = triplets_of(labels)
    people = labels.identity[table.rows]
    same = np.stack([people[:, i] == people[:, j] for i, j in PAIRS_OF_TRIPLET], axis=1)
    says = same.reshape(-1)
    bootstrap = FaceBootstrap(labels.units(table.rows))
    best = same == same.max(axis=1, keepdims=True)
    credit = best[np.arange(len(table)), table.odd] / best.sum(axis=1)
    found = identity_figures(table, credit, says, labels, bootstrap)
    counts, rights = [0, 0, 0], [0.0, 0.0, 0.0]
    for row, odd, right in zip(people.tolist(), table.odd.tolist(), credit, strict=True):
        pairs = [row[i] == row[j] for i, j in PAIRS_OF_TRIPLET]
        if all(pairs):
            continue
        kind = 0 if pairs[odd] else 1 if any(pairs) else 2
        counts[kind] += 1
        rights[kind] += right
    assert [group.num_triplets for group in found.groups] == counts
    assert min(counts) > 30
    assert [g.accuracy.value for g in found.groups] == pytest.approx(
        [right / num for right, num in zip(rights, counts, strict=True)]
    )
    assert found.gap == pytest.approx(1.0)
    assert found.groups[2].accuracy.value == pytest.approx(1 / 3)
    assert found.num_same_person_pairs == int(same.sum())
    assert found.num_same_person_pairs + found.num_different_person_pairs == 3 * len(table)
    # It calls every pair of one person similar, and no other: right for one kind only.
    assert (found.same_person, found.different_person) == (0.5, 0.5)


def test_unknown_people_take_no_part_and_groups_may_be_empty():
    _, labels = faces_of()
    unknown = RowLabels(np.full_like(labels.identity, -1), labels.expression, labels.words)
    table = triplets_of(labels)
    credit = np.ones(len(table))
    found = identity_figures(
        table, credit, np.ones(3 * len(table), bool), unknown, FaceBootstrap(table.rows)
    )
    assert [group.num_triplets for group in found.groups] == [0, 0, 0]
    assert math.isnan(found.gap)
    assert math.isnan(found.same_person)
    assert len(np.unique(unknown.units(table.rows))) == len(np.unique(table.rows))


def test_units_are_people_where_known_and_faces_elsewhere():
    labels = RowLabels(np.array([0, 0, 1, -1, -1]), np.full(5, -1), ())
    units = labels.units(np.arange(5))
    assert units[0] == units[1]
    assert len(set(units.tolist())) == 4


def test_row_labels_from_words_and_people_on_both_sides():
    labels = RowLabels.of_rows(4, {0: ("Ann", "joy"), 2: ("Bob", ""), 3: ("", "fear")})
    assert labels.identity.tolist() == [0, -1, 1, -1]
    assert labels.expression.tolist() == [1, -1, -1, 0]
    assert labels.words == ("fear", "joy")
    assert people_on_both_sides(["Ann", None, ""], ["", "Ann", None, "Bob"]) == {"Ann"}
