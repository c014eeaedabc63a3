"""Heads whose answers are known, and triplets small enough to count by hand."""

from pathlib import Path

import numpy as np
import torch

from fec_cache.cache.matrix import FeatureMatrix
from fec_cache.heads.base import PairHead
from fec_cache.heads.config import HeadConfig
from fec_cache.pairs.build import TripletCounts, TripletTable
from fec_cache.pairs.labelled import Labelled

# Faces on a line: 0 and 1 are alike, 2 and 3 are alike, 4 is between.
FEATURES = np.array([[0.0], [1.0], [8.0], [9.0], [4.0]], np.float32)
# The last face of each triplet is the odd one: its two others are the nearest.
ROWS = np.array([[0, 1, 2], [0, 1, 3], [2, 3, 0], [2, 3, 4]], np.int64)
TYPES = np.array([0, 1, 1, 2], np.int64)


class Distance(PairHead):
    """Similarity is minus the distance on the line: right on all triplets."""

    def compare(self, a, b):
        return 1.0 - (a[:, 0] - b[:, 0]).abs()


class Opposite(PairHead):
    """The most different pair is called the most similar: wrong on all triplets."""

    def compare(self, a, b):
        return (a[:, 0] - b[:, 0]).abs() - 1.0


class Constant(PairHead):
    """All pairs are equally similar: a third of each triplet is right."""

    def compare(self, a, b):
        return torch.zeros(len(a))


def head_of(kind, width=1):
    return kind(HeadConfig(prepare="none"), width)


def labelled_triplets():
    num = len(ROWS)
    table = TripletTable(ROWS, np.full(num, 2), TYPES, np.tile([0, 1, 5], (num, 1)))
    counts = TripletCounts(num + 3, 0, 1, 0, 2, 0, num)
    matrix = FeatureMatrix(tuple("abcde"), FEATURES)
    return Labelled(None, matrix, table, counts, {}, "digest of the rows", Path("data"))
