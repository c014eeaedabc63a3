"""Figures of nearest faces from similarities, counted by hand."""

import math

import numpy as np
import pytest

from fec_cache.evaluation.measures.neighbours import neighbour_figures

# Twelve people with one picture each and a second picture of the first; two words in turn.
IDENTITY = np.array([0, *range(12)])
EXPRESSION = np.array([0, 1] * 6 + [0])
# Face 0 is most like face 12, then 11, ... and least like face 1, the same person.
FALLING = np.arange(13.0)


def figures(similarity, query=0, identity=IDENTITY, expression=EXPRESSION):
    return neighbour_figures([(query, similarity)], identity, expression, 2)


def test_one_query_counted_by_hand():
    found = figures(FALLING)
    assert (found.num_faces, found.num_with_person, found.num_with_expression) == (13, 1, 1)
    assert (found.same_person, found.same_person_chance) == (0.0, pytest.approx(1 / 12))
    # Faces 12, 11, 10, ... show the words 0, 1, 0, ...
    assert found.precision == {1: 1.0, 5: pytest.approx(3 / 5), 10: pytest.approx(5 / 10)}
    assert found.precision_chance == pytest.approx(6 / 11)  # faces 2 to 12
    assert found.confusion == ((1, 0), (0, 0))


def test_the_query_itself_never_counts():
    similarity = FALLING.copy()
    similarity[[0, 1]] = 100.0, 50.0
    assert figures(similarity).same_person == 1.0


def test_ties_at_a_rank_count_in_part():
    found = figures(np.zeros(13))
    assert found.same_person == pytest.approx(1 / 12)
    assert found.precision == pytest.approx(dict.fromkeys((1, 5, 10), 6 / 11))


def test_unknown_people_and_words_take_no_part():
    unknown = np.full(13, -1)
    found = figures(FALLING, identity=unknown, expression=unknown)
    assert (found.num_with_person, found.num_with_expression) == (0, 0)
    assert math.isnan(found.same_person)
    assert math.isnan(found.precision[1])
    assert math.isnan(found.precision_chance)
    assert found.confusion == ((0, 0), (0, 0))


def test_fewer_strangers_than_the_largest_rank_give_no_precision():
    found = neighbour_figures([(0, FALLING[:11])], IDENTITY[:11], EXPRESSION[:11], 2)
    assert (found.num_with_person, found.num_with_expression) == (1, 0)
