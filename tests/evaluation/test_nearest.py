"""Nearest faces by a head, against slow loops."""

import math

import numpy as np
import pytest
import torch

from fec_cache.evaluation.measures.neighbours import RANKS
from fec_cache.evaluation.nearest import nearest_figures
from fec_cache.evaluation.people import RowLabels
from fec_cache.heads.base import PairHead
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head


class SeesPerson(PairHead):
    """Similarity is minus the distance in the first feature, which is the person."""

    def compare(self, a, b):
        return -(a[:, 0] - b[:, 0]).abs()


class SeesExpression(PairHead):
    def compare(self, a, b):
        return -(a[:, 1] - b[:, 1]).abs()


def faces_of(num_people=20, num_words=4, each=12, seed=0):
    rng = np.random.default_rng(seed)
    identity = np.repeat(np.arange(num_people), each)
    expression = rng.integers(0, num_words, len(identity))
    noise = rng.normal(0, 0.01, (2, len(identity)))
    features = np.stack([identity + noise[0], expression + noise[1]], axis=1).astype(np.float32)
    words = tuple(f"word{i}" for i in range(num_words))
    return features, RowLabels(identity, expression, words)


def head_of(kind):
    head = kind(HeadConfig(prepare="none"), 2)
    head.eval()
    return head


@pytest.mark.parametrize("kind", [SeesPerson, SeesExpression])
def test_neighbours_equal_a_slow_loop(kind):
    features, labels = faces_of(num_people=8, each=6)
    head, rows = head_of(kind), np.arange(48)
    found = nearest_figures(head, features, rows, labels.identity, labels.expression)
    with torch.no_grad():
        x = torch.from_numpy(features)
        similarity = torch.stack([head.compare(x[i].expand(48, -1), x) for i in range(48)]).numpy()
    hits, precision = [], {k: [] for k in RANKS}
    for i in range(48):
        order = sorted((j for j in range(48) if j != i), key=lambda j: -similarity[i, j])
        hits.append(labels.identity[order[0]] == labels.identity[i])
        others = [j for j in order if labels.identity[j] != labels.identity[i]]
        for k in RANKS:
            alike = [labels.expression[j] == labels.expression[i] for j in others[:k]]
            precision[k].append(np.mean(alike))
    assert found.same_person == pytest.approx(np.mean(hits))
    assert found.same_person_chance == pytest.approx(5 / 47)
    assert found.precision == pytest.approx({k: np.mean(v) for k, v in precision.items()})
    assert (found.num_faces, found.num_with_person, found.num_with_expression) == (48, 48, 48)


def test_a_head_that_sees_the_person_finds_the_person_and_no_expression():
    features, labels = faces_of()
    rows = np.arange(len(features))
    person = nearest_figures(
        head_of(SeesPerson), features, rows, labels.identity, labels.expression
    )
    word = nearest_figures(
        head_of(SeesExpression), features, rows, labels.identity, labels.expression
    )
    assert person.same_person == 1.0
    assert person.precision[10] == pytest.approx(person.precision_chance, abs=0.08)
    assert word.precision == {1: 1.0, 5: 1.0, 10: 1.0}
    assert word.same_person < 0.25


def test_ties_count_in_part_and_few_strangers_are_left_out():
    features = np.zeros((24, 2), np.float32)
    identity, expression = np.arange(24) // 2, np.arange(24) % 3
    found = nearest_figures(head_of(SeesPerson), features, np.arange(24), identity, expression)
    assert found.same_person == pytest.approx(1 / 23)
    assert found.precision[5] == pytest.approx(found.precision_chance)
    few = nearest_figures(head_of(SeesPerson), features, np.arange(8), identity, expression)
    assert few.num_with_expression == 0
    assert math.isnan(few.precision[1])


def test_an_embedding_ranks_as_its_logits_do():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 6)).astype(np.float32)
    head = build_head(HeadConfig("embedding", (8,)), 6)
    head.eval()
    identity, expression = np.arange(40) // 4, rng.integers(0, 3, 40)
    found = nearest_figures(head, features, np.arange(40), identity, expression)

    class Plain(PairHead):
        def compare(self, a, b):
            return head(a, b)

    slow = nearest_figures(
        Plain(HeadConfig(prepare="none"), 6), features, np.arange(40), identity, expression
    )
    assert found == slow


def test_large_sets_are_sampled_for_heads_without_an_embedding():
    features, labels = faces_of(num_people=100, each=11)
    found = nearest_figures(
        head_of(SeesPerson), features, np.arange(1100), labels.identity, labels.expression
    )
    assert found.num_faces == 1000
    assert found.num_with_person <= 200
