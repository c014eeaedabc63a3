"""Nearest faces by a head, for the figures of neighbours."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from fec_cache.evaluation.measures.neighbours import Neighbours, neighbour_figures
from fec_cache.heads.base import PairHead

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]

# A head without an embedding computes each pair separately; this many pairs take seconds.
_MAX_QUERIES, _MAX_FACES = 200, 1000


def nearest_figures(
    head: PairHead,
    features: Floats,
    rows: Ints,
    identity: Ints,
    expression: Ints,
    seed: int = 0,
) -> Neighbours:
    """Rank faces by their similarity to each query face.

    Args:
        head: a trained head; for one without an embedding, 200 queries among 1,000 faces are drawn.
        features: [N, D] float.
        rows: [n] int64, the faces that take part, each once.
        identity: [N] int64, -1 unknown; a face of unknown identity counts as its own person.
        expression: [N] int64, -1 unknown.
        seed: seed of the sample of faces, if not all take part.
    """
    rng = np.random.default_rng(seed)
    similarity_to, is_cheap = _similarities(head, features)
    rows = _sample(rows, len(rows) if is_cheap else _MAX_FACES, rng)
    queries = _sample(np.arange(len(rows)), len(rows) if is_cheap else _MAX_QUERIES, rng)
    similarities = ((query, similarity_to(int(rows[query]), rows)) for query in queries.tolist())
    num_words = int(expression.max(initial=-1)) + 1
    return neighbour_figures(similarities, identity[rows], expression[rows], num_words)


def _sample(items: Ints, most: int, rng: np.random.Generator) -> Ints:
    return items if len(items) <= most else np.sort(rng.choice(items, most, replace=False))


def _similarities(head: PairHead, features: Floats) -> tuple[Callable[[int, Ints], Floats], bool]:
    """A function that gives the similarity of one row to many, and whether it is cheap."""
    head.eval()
    embed = getattr(head, "embed", None)
    with torch.inference_mode():
        matrix = torch.from_numpy(features.astype(np.float32))
        if embed is not None:
            embedded = embed(matrix).numpy()
        prepared = head.prepare(matrix) if embed is None else matrix

    def by_embedding(row: int, rows: Ints) -> npt.NDArray[np.floating]:
        """Minus the squared distance to each of `rows` [n], [n] float32: ranks as logits do."""
        gaps = embedded[rows] - embedded[row]
        return np.asarray(-(gaps**2).sum(axis=1))

    def by_pairs(row: int, rows: Ints) -> npt.NDArray[np.floating]:
        """Logits [n] float32 with each of `rows` [n], the query as the first face of a pair."""
        with torch.inference_mode():
            others = prepared[torch.from_numpy(rows)]
            query = prepared[row].expand(len(rows), -1)
            return np.asarray(head.compare(query, others).numpy())

    return (by_embedding, True) if embed is not None else (by_pairs, False)
