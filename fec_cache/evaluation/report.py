"""Measures a head on labelled triplets: similarities -> `Evaluation`."""

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from fec_cache.evaluation.checks import check_finite, check_logits, warnings_of
from fec_cache.evaluation.figures import Evaluation, GroupAccuracy, PairFigures, type_masks
from fec_cache.evaluation.measures.bootstrap import ENOUGH_UNITS, FaceBootstrap
from fec_cache.evaluation.measures.ceilings import pair_ceiling, triplet_ceilings
from fec_cache.evaluation.measures.metrics import (
    CHANCE,
    PAIR_FLOOR,
    constant_accuracy,
    odd_probabilities,
    pair_auc,
    pair_average_precision,
    pair_balanced_accuracy,
    pair_brier,
    rater_accuracy,
    vote_agreement,
    vote_log_losses,
)
from fec_cache.evaluation.measures.reliability import Reliability, reliability
from fec_cache.evaluation.nearest import nearest_figures
from fec_cache.evaluation.people import IdentityFigures, RowLabels, identity_figures
from fec_cache.heads.base import PairHead
from fec_cache.heads.scoring import probability_of, similarity_of
from fec_cache.pairs.build import TripletTable, pairs_from_triplets
from fec_cache.pairs.credit import triplet_credit
from fec_cache.system.wording import counted

# One of a triplet's three pairs is similar, so this is the base rate: answering "similar" from here
# up maximises the balanced accuracy of calibrated probabilities (decision 3).
DECISION_THRESHOLD = 1.0 / 3.0


def evaluate_head(
    head: PairHead,
    features: npt.NDArray[np.floating],
    table: TripletTable,
    draws: int = 1000,
    seed: int = 0,
    labels: RowLabels | None = None,
    min_agreement: float = 0.0,
) -> Evaluation:
    """Measure a head on labelled triplets.

    Args:
        head: a trained head.
        features: [N, D] float, the cache's matrix.
        table: T triplets that the head was not trained on.
        draws: number of bootstrap draws.
        seed: seed of the bootstrap.
        labels: identities and expressions of the faces, if known; adds figures by person, and
            intervals then resample people.
        min_agreement: if above 0, triplets with at least this agreement of raters also get their
            own group.

    Raises:
        BadFeatures: features or answers are not finite.
    """
    similarity, probability = _answers(head, features, table)
    if labels is not None and not (labels.identity[table.rows] >= 0).any():
        labels = None
    units, redrawn = units_of(table, labels)
    # With 1,000 draws a whole evaluation of 51,060 triplets takes 1.6 s at most and under 1 GB.
    bootstrap = FaceBootstrap(units, draws, seed)
    measured = _measure(similarity, probability, table, bootstrap, min_agreement)
    return dataclasses.replace(
        measured,
        identity=_identity(head, features, table, measured, labels, bootstrap),
        redrawn=redrawn,
        num_redrawn=bootstrap.num_units,
        units=units,
        warnings=warnings_of(measured.overall, similarity, probability),
    )


def units_of(table: TripletTable, labels: RowLabels | None) -> tuple[npt.NDArray[np.int64], str]:
    """Units that intervals on triplets resample: [T, 3] int64, and their name.

    These are people if at least ten are known. Fewer do not represent people in general, so faces
    are resampled and the interval holds for these people only.
    """
    # On real faces one person is in 640 of 2,205 triplets. The standard error of one head is 1.1
    # points over triplets, 3.1 over faces and 4.6 over people (docs/experiments.md, 2026-11-22).
    if labels is not None and (labels.identity[table.rows] >= 0).any():
        units = labels.units(table.rows)
        num_people = len(np.unique(units))
        if num_people >= ENOUGH_UNITS:
            return units, "people"
        return table.rows, f"faces (of {counted(num_people, 'person', 'people')} only)"
    return table.rows, "faces"


def _answers(
    head: PairHead, features: npt.NDArray[np.floating], table: TripletTable
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Logits and P(similar), both [T, 3] float32."""
    check_finite(features, table.rows)
    similarity = similarity_of(head, features, table.rows)
    check_logits(similarity)
    return similarity, probability_of(head, similarity)


def _measure(
    similarity: npt.NDArray[np.float32],
    probability: npt.NDArray[np.float32],
    table: TripletTable,
    bootstrap: FaceBootstrap,
    min_agreement: float,
) -> Evaluation:
    masks = list(type_masks(table.types).items())
    # All triplets are measured, whatever agreement the head was trained with; those that reach it
    # get one more row.
    if min_agreement > 0.0:
        # Tolerance for rounding: 0.55 * 20 votes is 11.000000000000002.
        is_agreed = table.votes.max(axis=1) >= min_agreement * table.votes.sum(axis=1) - 1e-9
        masks.append((f"agreement from {min_agreement:.0%}", is_agreed))
    groups = _groups(masks, similarity, probability, table, bootstrap)
    credit = triplet_credit(similarity, table.odd)
    pairs, diagram = _pair_figures(similarity, probability, table)
    return Evaluation(
        groups=groups[:4],
        pairs=pairs,
        chance=CHANCE,
        threshold=DECISION_THRESHOLD,
        similarity=similarity,
        probability=probability,
        macro=bootstrap.macro(credit, [mask for _, mask in masks[:3]]),
        agreed=groups[4] if min_agreement > 0.0 else None,
        reliability=diagram,
    )


def _groups(
    masks: list[tuple[str, npt.NDArray[np.bool_]]],
    similarity: npt.NDArray[np.float32],
    probability: npt.NDArray[np.float32],
    table: TripletTable,
    bootstrap: FaceBootstrap,
) -> tuple[GroupAccuracy, ...]:
    credit = triplet_credit(similarity, table.odd)
    agreement = vote_agreement(similarity, table.votes)
    shares = table.votes / np.maximum(table.votes.sum(axis=1, keepdims=True), 1)
    losses = vote_log_losses(odd_probabilities(_logit(probability)), table.votes)
    entropies = vote_log_losses(shares, table.votes)
    chosen = [mask for _, mask in masks]
    intervals = bootstrap.means(credit, chosen)
    ceilings = triplet_ceilings(table.votes, chosen)
    return tuple(
        GroupAccuracy(
            name=name,
            num_triplets=int(mask.sum()),
            accuracy=interval.value,
            low=interval.low,
            high=interval.high,
            rater_accuracy=rater_accuracy(table.votes[mask]),
            stderr=interval.stderr,
            floor=constant_accuracy(table.odd[mask]),
            ceiling=ceiling,
            vote_agreement=_mean(agreement[mask]),
            vote_log_loss=_mean(losses[mask]),
            vote_entropy=_mean(entropies[mask]),
        )
        for (name, mask), interval, ceiling in zip(masks, intervals, ceilings, strict=True)
    )


def _pair_figures(
    similarity: npt.NDArray[np.float32],
    probability: npt.NDArray[np.float32],
    table: TripletTable,
) -> tuple[PairFigures, Reliability]:
    is_similar = pairs_from_triplets(table).is_similar
    logits, chances = similarity.reshape(-1), probability.reshape(-1)
    ceiling, diagram = pair_ceiling(table), reliability(chances, is_similar)
    base_rate = _mean(is_similar)
    figures = PairFigures(
        num_pairs=len(is_similar),
        base_rate=base_rate,
        floor=PAIR_FLOOR,
        accuracy=_mean((chances >= 0.5) == is_similar),
        accuracy_uncalibrated=_mean((logits > 0) == is_similar),
        balanced_accuracy=pair_balanced_accuracy(chances >= DECISION_THRESHOLD, is_similar),
        auc=pair_auc(logits, is_similar),
        num_contradicting=ceiling.num_contradicting,
        average_precision=pair_average_precision(logits, is_similar),
        brier=pair_brier(chances, is_similar),
        brier_floor=base_rate * (1.0 - base_rate),
        calibration_error=diagram.error,
        ceiling=ceiling,
    )
    return figures, diagram


def _identity(
    head: PairHead,
    features: npt.NDArray[np.floating],
    table: TripletTable,
    measured: Evaluation,
    labels: RowLabels | None,
    bootstrap: FaceBootstrap,
) -> IdentityFigures | None:
    if labels is None:
        return None
    rows = np.unique(table.rows)
    credit = triplet_credit(measured.similarity, table.odd)
    says_similar = measured.probability.reshape(-1) >= DECISION_THRESHOLD
    figures = identity_figures(table, credit, says_similar, labels, bootstrap)
    nearest = nearest_figures(head, features, rows, labels.identity, labels.expression)
    return dataclasses.replace(figures, neighbours=nearest, words=labels.words)


def _logit(probability: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    # A float32 probability can be exactly 0 or 1, whose logit is infinite.
    inside = np.clip(probability.astype(np.float64), 1e-7, 1.0 - 1e-7)
    return np.asarray(np.log(inside / (1.0 - inside)))


def _mean(values: npt.NDArray[np.generic]) -> float:
    return float(values.astype(np.float64).mean()) if values.size else math.nan
