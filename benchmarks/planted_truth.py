"""The whole chain from triplets to figures on a truth that was planted, so that it can be checked.

    python benchmarks/planted_truth.py [--people 1000] [--triplets 35000] [--draws 500]
        [--loudness 2] [--equal-types] [--seed 0]

A face's feature mixes what it expresses (6 numbers) and who it shows (16 numbers, twice as loud)
into 128 numbers and adds noise. Simulated raters see distances of expressions, with errors of a
size at which the average rater agrees with the majority in 86.2 % of answers, as FEC's do. The
oracle sees the expressions themselves, without error. Test people are nobody of training.

Prints, for the original recipe and for heads with a metric of their own: triplet accuracy beside
the oracle's, calibration error against majorities and against the raters' true shares, and how
often a linear probe on the embedding names the person; the same by the number of dimensions. Then
how often the 95 % intervals cover.
"""

import argparse
import dataclasses
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from fec_cache.datasets.synthetic.raters import count_votes, judge, pair_distances, tied_rows
from fec_cache.evaluation.figures import Evaluation
from fec_cache.evaluation.measures.bootstrap import FaceBootstrap, Interval
from fec_cache.evaluation.measures.metrics import odd_probabilities, triplet_credit
from fec_cache.evaluation.measures.reliability import reliability
from fec_cache.evaluation.people import RowLabels
from fec_cache.evaluation.report import evaluate_head
from fec_cache.heads.base import PairHead
from fec_cache.heads.config import HEADS, HeadConfig
from fec_cache.pairs.build import TripletTable
from fec_cache.training.config import TrainConfig
from fec_cache.training.fit import TrainResult, fit

EXPRESSION, IDENTITY, WIDTH = 6, 16, 128
FACES_EACH = 10
LOUDNESS, NOISE = 2.0, 0.5
CLASSES = 5
DIMENSIONS = (4, 5, 6, 7, 8, 10, 12, 16)
_PANEL = 200


@dataclass(frozen=True)
class World:
    """How features come about: mixing matrices [E, D] and [I, D], and the classes' centres."""

    of_expression: npt.NDArray[np.float64]
    of_identity: npt.NDArray[np.float64]
    centres: npt.NDArray[np.float64]
    has_equal_types: bool = False


@dataclass(frozen=True)
class Planted:
    """Faces whose truth is known, and triplets of them as raters judged them.

    `features` [N, D] float32; `expression` [N, E]; `identity` [N]; `noise` is the raters' error.
    """

    features: npt.NDArray[np.float32]
    expression: npt.NDArray[np.float64]
    identity: npt.NDArray[np.int64]
    table: TripletTable
    noise: float
    agreement: float

    @property
    def oracle(self) -> npt.NDArray[np.float64]:
        """Similarity [T, 3] of who sees the expressions without error."""
        return -pair_distances(self.expression[self.table.rows])


def make_world(seed: int, loudness: float = LOUDNESS) -> World:
    """A way to look, drawn from a seed."""
    rng = np.random.default_rng([seed, 0])
    return World(
        rng.normal(size=(EXPRESSION, WIDTH)) / np.sqrt(EXPRESSION),
        rng.normal(size=(IDENTITY, WIDTH)) * loudness / np.sqrt(IDENTITY),
        rng.normal(size=(CLASSES, EXPRESSION)),
    )


def make_set(
    world: World,
    num_people: int,
    num_triplets: int,
    rng: np.random.Generator,
    faces_each: int = FACES_EACH,
) -> Planted:
    """Faces of new people, and triplets of them that raters found a majority for."""
    identity = np.repeat(np.arange(num_people), faces_each)
    num_faces = len(identity)
    kinds = rng.integers(0, CLASSES, num_faces)
    expression = world.centres[kinds] + 0.7 * rng.normal(size=(num_faces, EXPRESSION))
    people = rng.normal(size=(num_people, IDENTITY))[identity]
    features = expression @ world.of_expression + people @ world.of_identity
    features += NOISE * rng.normal(size=features.shape)
    rows, types = _draw_rows(kinds, num_triplets, rng, world.has_equal_types)
    judged = judge(expression[rows], rng)
    votes = count_votes(judged.answers)
    table = TripletTable(rows, votes.argmax(axis=1), types, votes)
    table = table.take(~tied_rows(judged.answers))
    return Planted(
        features.astype(np.float32), expression, identity, table, judged.noise, judged.agreement
    )


def _draw_rows(
    kinds: npt.NDArray[np.int64], num_triplets: int, rng: np.random.Generator, equal: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Three different faces a row and the type of the triplet; `equal`: a third of each type."""
    rows = np.sort(rng.integers(0, len(kinds), (12 * num_triplets, 3)), axis=1)
    rows = rng.permuted(rows[(np.diff(rows, axis=1) > 0).all(axis=1)], axis=1)
    words = np.sort(kinds[rows], axis=1)
    types = (np.diff(words, axis=1) > 0).sum(axis=1)
    if not equal:
        return rows[:num_triplets], types[:num_triplets]
    chosen = [np.flatnonzero(types == kind)[: -(-num_triplets // 3)] for kind in range(3)]
    order = rng.permutation(np.concatenate(chosen))
    return rows[order], types[order]


def true_shares(planted: Planted, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """What share of all raters would name each face: [T, 3], from a large panel."""
    distances = pair_distances(planted.expression[planted.table.rows])
    shares = np.zeros_like(distances)
    for _ in range(_PANEL):
        sloppiness = np.exp(rng.normal(0.0, 0.25, (len(distances), 1)))
        seen = distances + planted.noise * sloppiness * rng.normal(size=distances.shape)
        shares += np.eye(3)[seen.argmin(axis=1)]
    return shares / _PANEL


def probe_identity(embedding: npt.NDArray[np.floating], identity: npt.NDArray[np.int64]) -> float:
    """How often a linear probe names the person, fitted on half of each person's faces."""
    is_fit = np.arange(len(identity)) % 2 == 0
    scaler = StandardScaler().fit(embedding[is_fit])
    probe = LogisticRegression(max_iter=300)
    probe.fit(scaler.transform(embedding[is_fit]), identity[is_fit])
    return float(probe.score(scaler.transform(embedding[~is_fit]), identity[~is_fit]))


def heads_of() -> dict[str, tuple[HeadConfig, TrainConfig]]:
    """The original recipe and every head with a metric of its own."""
    found = {"original recipe": (HeadConfig(), TrainConfig())}
    train = TrainConfig(
        lr=1e-2, epochs=30, batch_size=512, optimizer="adamw", weight_decay=0.01, loss="odd-one-out"
    )
    # Two dimensions more than the truth has: unit vectors lie on a sphere, which must be cut flat.
    metric = HeadConfig("embedding", (), embedding_dim=EXPRESSION + 2, prepare="none")
    found["embedding, odd-one-out"] = (metric, train)
    found["embedding, bce"] = (metric, dataclasses.replace(train, loss="bce"))
    found["embedding, standardised faces"] = (dataclasses.replace(metric, prepare=None), train)
    found["embedding 16-d, odd-one-out"] = (dataclasses.replace(metric, embedding_dim=16), train)
    symmetric = HeadConfig("symmetric", (128,), dropout=0.2)
    found["symmetric"] = (symmetric, dataclasses.replace(train, lr=1e-3, loss="bce"))
    if "scatter" in HEADS:
        found["scatter"] = (HeadConfig("scatter", embedding_dim=EXPRESSION), TrainConfig())
    return found


def choose_dimension(world: World, sets: list[Planted], test: Planted) -> None:
    """What `fec grid-search --embedding-dim ... --repeat-seeds 3 --choose one-se` would take.

    The least number of dimensions whose validation is within one standard error of the best: none
    is left over to keep the person in. Prints each with its accuracies and its probe.
    """
    head, train = heads_of()["embedding, odd-one-out"]
    found: dict[int, tuple[float, float]] = {}
    for size in DIMENSIONS:
        runs = []
        for seed in range(3):
            settings = dataclasses.replace(head, embedding_dim=size)
            runs.append(_fit(settings, dataclasses.replace(train, seed=seed), sets))
        shares = np.array([run.best.val_triplet_accuracy for run in runs])
        found[size] = float(shares.mean()), float(shares.std(ddof=1) / np.sqrt(len(shares)))
        probe = probe_identity(embedding_of(runs[0].head, test.features), test.identity)
        accuracy = measure(runs[0].head, test).overall.accuracy
        print(
            f"  {size:2d} dimensions: validation {shares.mean():.1%} +- {found[size][1]:.1%}, test "
            f"{accuracy:.1%}, identity probe {probe:.1%}",
            flush=True,
        )
    best, error = max(found.values())
    print(f"  within one standard error: {min(d for d in found if found[d][0] >= best - error)}")


def train_head(head: HeadConfig, train: TrainConfig, world: World, sets: list[Planted]) -> PairHead:
    """A head trained on the first set and validated on the second."""
    return _fit(head, train, sets).head


def _fit(head: HeadConfig, train: TrainConfig, sets: list[Planted]) -> TrainResult:
    first, second = sets
    features = np.concatenate([first.features, second.features])
    validation = dataclasses.replace(second.table, rows=second.table.rows + len(first.features))
    return fit(features, first.table, validation, head, train)


def measure(head: PairHead, test: Planted) -> Evaluation:
    """Figures of a head, people redrawn."""
    labels = RowLabels(test.identity, np.full(len(test.identity), -1), ())
    return evaluate_head(head, test.features, test.table, labels=labels)


def embedding_of(head: PairHead, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Embedding [N, E], or the prepared features of a head that has none."""
    head.eval()
    with torch.inference_mode():
        tensor = torch.from_numpy(features)
        embed = getattr(head, "embed", None)
        found: npt.NDArray[np.float32] = (embed or head.prepare)(tensor).numpy()
    return found


@dataclass(frozen=True)
class Coverage:
    """Shares of draws whose 95 % interval holds the truth, and mean widths beside true spreads."""

    name: str
    covered: float
    stderr: float
    spread: float
    covered_by_triplets: float


def coverage(
    world: World, head: PairHead, other: PairHead, num_draws: int, seed: int, num_people: int,
    num_triplets: int, faces_each: int,
) -> list[Coverage]:  # fmt: skip
    """Redraw the whole test set - people, faces, triplets, raters - and count what intervals hold.

    The truth is the mean over all draws.
    """
    names = ("head", "difference", "macro average")
    found: dict[str, list[tuple[Interval, float]]] = {name: [] for name in names}
    for draw in range(num_draws):
        rng = np.random.default_rng([seed, 7, draw])
        test = make_set(world, num_people, num_triplets, rng, faces_each)
        ours, theirs = (
            triplet_credit(_similarity(one, test), test.table.odd) for one in (head, other)
        )
        bootstrap = FaceBootstrap(test.identity[test.table.rows], 300, draw)
        gap, types = ours - theirs, test.table.types
        everything = [np.ones(len(gap), bool)]
        naive = [values.std() / np.sqrt(len(values)) for values in (ours, gap, ours)]
        intervals = (
            bootstrap.mean(ours),
            bootstrap.means(gap, everything, bounded=False)[0],
            bootstrap.macro(ours, [types == kind for kind in range(3)]),
        )
        for name, interval, error in zip(names, intervals, naive, strict=True):
            found[name].append((interval, float(error)))
    return [_coverage(name, draws) for name, draws in found.items()]


def _coverage(name: str, draws: list[tuple[Interval, float]]) -> Coverage:
    values = np.array([interval.value for interval, _ in draws])
    truth = values.mean()
    return Coverage(
        name,
        float(np.mean([i.low <= truth <= i.high for i, _ in draws])),
        float(np.mean([i.stderr for i, _ in draws])),
        float(values.std(ddof=1)),
        float(np.mean([abs(i.value - truth) <= 1.96 * e for i, e in draws])),
    )


def _similarity(head: PairHead, test: Planted) -> npt.NDArray[np.float32]:
    from fec_cache.heads.scoring import similarity_of

    return similarity_of(head, test.features, test.table.rows)


def main() -> None:
    """Print both parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=1000, help="training people, ten faces each")
    parser.add_argument("--triplets", type=int, default=35_000, help="training triplets")
    parser.add_argument("--draws", type=int, default=500, help="test sets redrawn for coverage")
    parser.add_argument("--loudness", type=float, default=LOUDNESS, help="of the identity")
    parser.add_argument("--equal-types", action="store_true", help="a third of each type, as FEC")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    world = make_world(options.seed, options.loudness)
    world = dataclasses.replace(world, has_equal_types=options.equal_types)
    sizes = ((options.people, options.triplets), (100, 3000), (100, 10_000))
    sets = [
        make_set(world, people, triplets, np.random.default_rng([options.seed, 1 + number]))
        for number, (people, triplets) in enumerate(sizes)
    ]
    test = sets[2]
    heads = _heads(world, sets, test, options.seed)
    choose_dimension(world, sets[:2], test)
    started = time.perf_counter()
    good, bad = heads["embedding, odd-one-out"], heads["original recipe"]
    for words, people, triplets, each in (
        ("every face another person", 600, 2000, 1),
        ("ten faces a person", 100, 2000, 10),
    ):
        print(f"\n{options.draws} test sets of {triplets} triplets, {people * each} faces, {words}")
        for row in coverage(world, good, bad, options.draws, options.seed, people, triplets, each):
            print(
                f"  {row.name:16s} 95 % interval covers {row.covered:6.1%}; standard error "
                f"{row.stderr:.4f}, true spread {row.spread:.4f}; triplets redrawn would cover "
                f"{row.covered_by_triplets:6.1%}"
            )
    print(f"  in {time.perf_counter() - started:.0f} s")


def _heads(world: World, sets: list[Planted], test: Planted, seed: int) -> dict[str, PairHead]:
    oracle = float(triplet_credit(test.oracle, test.table.odd).mean())
    shares = true_shares(test, np.random.default_rng([seed, 6]))
    known = float((shares.argmax(axis=1) == test.table.odd).mean())
    chance = 1.0 / len(np.unique(test.identity))
    print(f"raters agree with the majority in {test.agreement:.1%}; oracle {oracle:.1%}")
    print(
        f"identity probe on the features {probe_identity(test.features, test.identity):.1%}, ",
        end="",
    )
    print(f"chance {chance:.1%}")
    heads: dict[str, PairHead] = {}
    for name, (head_config, train_config) in heads_of().items():
        started = time.perf_counter()
        head = heads[name] = train_head(head_config, train_config, world, sets[:2])
        spent = time.perf_counter() - started
        found = measure(head, test)
        overall = found.overall
        calibrated = head.probability(torch.from_numpy(found.similarity)).detach().numpy()
        logits = np.log(np.clip(calibrated, 1e-6, 1 - 1e-6) / np.clip(1 - calibrated, 1e-6, 1))
        against_shares = reliability(odd_probabilities(logits).ravel(), shares.ravel()).error
        probe = probe_identity(embedding_of(head, test.features), test.identity)
        print(
            f"{name:34s} {overall.accuracy:6.1%} ({overall.low:.1%} to {overall.high:.1%}), "
            f"{overall.accuracy / oracle:6.1%} of the oracle; calibration error "
            f"{found.pairs.calibration_error:.3f}, against true shares {against_shares:.3f}; "
            f"identity probe {probe:6.1%}; gap by person {found.identity.gap:+.1%}; {spent:.0f} s"
        )
        if name == "original recipe":
            print(f"  ceiling from the votes alone {overall.ceiling:.1%}, true ceiling {known:.1%}")
    return heads


if __name__ == "__main__":
    main()
