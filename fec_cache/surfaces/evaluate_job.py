"""Heads on the test split, and on two new pictures."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fec_cache.config import CropConfig
from fec_cache.errors import FacesLeak, FecError, MissingData
from fec_cache.evaluation.report import DECISION_THRESHOLD, Evaluation, evaluate_head
from fec_cache.faces.images import crop_face, read_image
from fec_cache.features.joined import caches_of_recipes
from fec_cache.features.recipes import features_by_recipes
from fec_cache.features.storage import write_atomically
from fec_cache.heads.checkpoint import (
    CONFIG_NAME,
    load_config,
    load_head,
    load_seen_faces,
    newest_run,
)
from fec_cache.heads.run_config import RunConfig
from fec_cache.heads.scoring import pair_logits, probability_of
from fec_cache.surfaces.console import Console, percent, table
from fec_cache.surfaces.folders import Workspace
from fec_cache.surfaces.workspace import (
    Labelled,
    load_labelled,
    origin_note,
    warn_of_random_weights,
)

EVALUATION_NAME = "evaluation.json"
Box = tuple[float, float, float, float]
WHOLE_PICTURE: Box = (0.0, 1.0, 0.0, 1.0)


@dataclass(frozen=True)
class EvaluateOutcome:
    """A head's figures on the test split. `num_overlap` test faces were seen in training."""

    folder: Path
    config: RunConfig
    labelled: Labelled
    evaluation: Evaluation
    num_overlap: int
    origin: str

    def to_dict(self) -> dict[str, Any]:
        """For --json and `evaluation.json`."""
        return {
            "run": str(self.folder),
            "features": self.config.features,
            "origin": self.origin,
            "num_overlap": self.num_overlap,
            "num_triplets": len(self.labelled.table),
            "rows": self.labelled.counts.in_words(),
            **self.evaluation.to_dict(),
        }

    def in_words(self) -> str:
        """For people: the table of triplet accuracies and a line on pairs."""
        rows = [
            [
                group.name,
                str(group.num_triplets),
                percent(group.accuracy),
                f"{percent(group.low)} to {percent(group.high)}" if group.num_triplets else "-",
                percent(group.rater_accuracy),
            ]
            for group in self.evaluation.groups
        ]
        columns = ["triplets", "number", "accuracy", "95 % interval", "raters"]
        title = f"{self.folder.name} on {self.config.features}: triplet accuracy, chance 33.3 %"
        pairs = self.evaluation.pairs
        lines = [
            table(title, columns, rows),
            f"Pairs: balanced accuracy {percent(pairs.balanced_accuracy)} (constant answer 50 %), "
            f"AUC {pairs.auc:.3f}, accuracy {percent(pairs.accuracy)} where always 'different' "
            f"scores {percent(1 - pairs.base_rate)}; {pairs.num_contradicting} pairs are similar "
            "in one triplet and different in another",
        ]
        if self.num_overlap:
            lines.append(f"{self.num_overlap} TEST FACES WERE SEEN IN TRAINING: not comparable.")
        return "\n".join([*lines, *([self.origin] if self.origin else [])])


@dataclass(frozen=True)
class Prediction:
    """What a head says of two pictures."""

    pictures: tuple[str, str]
    probability: float
    threshold: float
    run: str
    features: str

    @property
    def verdict(self) -> str:
        """`similar` or `different`."""
        return "similar" if self.probability >= self.threshold else "different"

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "verdict": self.verdict,
            "probability_similar": self.probability,
            "threshold": self.threshold,
            "pictures": list(self.pictures),
            "run": self.run,
            "features": self.features,
        }

    def in_words(self) -> str:
        """For people."""
        return (
            f"{self.verdict} (P(similar) = {self.probability:.3f}; similar from "
            f"{self.threshold:.3f}, the share of similar pairs in training)"
        )


def find_run(workspace: Workspace, name: str | None) -> Path:
    """The folder of a run by its name, or the newest one.

    Raises:
        MissingData: there is no such run.
    """
    if name is None:
        return newest_run(workspace.runs_dir)
    for folder in (workspace.runs_dir / name, Path(name)):
        if (folder / CONFIG_NAME).is_file():
            return folder
    known = sorted(path.parent.name for path in workspace.runs_dir.glob(f"*/{CONFIG_NAME}"))
    listing = ", ".join(known) or "none"
    raise MissingData(
        f"There is no run {name!r} in {workspace.runs_dir} (runs there: {listing}). "
        "Run: fec train-head"
    )


def run_evaluate(
    workspace: Workspace, folder: Path, allow_overlap: bool, console: Console
) -> EvaluateOutcome:
    """Measure a head on the test split and write `evaluation.json` into its run.

    Raises:
        HeadMismatch, CacheMismatch: head and cache do not belong together.
        FacesLeak: test faces were seen in training.
    """
    head, config = load_head(folder)
    console.say(f"Head: {folder}, {config.head.head} on {config.features}")
    caches = caches_of_recipes(workspace.cache_dir, config.recipes)
    warn_of_random_weights(caches.recipes, console)
    labelled = load_labelled(workspace, "test", caches, config.pairs.min_agreement, console)
    num_overlap = _overlap(folder, config, labelled, allow_overlap)
    evaluation = evaluate_head(head, labelled.matrix.features, labelled.table)
    outcome = EvaluateOutcome(
        folder, config, labelled, evaluation, num_overlap, origin_note(workspace.data_dir)
    )
    text = json.dumps(outcome.to_dict(), indent=1, allow_nan=False)
    write_atomically(folder / EVALUATION_NAME, (text + "\n").encode())
    return outcome


def find_baselines(workspace: Workspace, config: RunConfig) -> tuple[Path, ...]:
    """Runs of the original recipe on the same features, triplets and split, of any seed."""
    found = []
    for path in sorted(workspace.runs_dir.glob(f"*/{CONFIG_NAME}")):
        try:
            other = load_config(path.parent)
        except FecError:
            continue
        same_data = other.data.get("digest") == config.data.get("digest")
        same_pairs = other.pairs == config.pairs
        if other.is_original and same_data and same_pairs and other.recipes == config.recipes:
            found.append(path.parent)
    return tuple(found)


def run_predict(
    folder: Path,
    pictures: tuple[Path, Path],
    boxes: Sequence[Box],
    weights: Sequence[str],
    device: str,
) -> Prediction:
    """Say whether two pictures show similar expressions.

    Args:
        folder: the run.
        pictures: two image files.
        boxes: of the faces, none (whole pictures), one (for both) or two.
        weights: the backbones' weights files, if they are not where they are looked for.
        device: in torch's words, or `auto`.

    Raises:
        BadImage: a picture cannot be used.
        WeightsNotFound, WeightsMismatch: the head's backbone is not at hand.
    """
    head, config = load_head(folder)
    of_each = (list(boxes) or [WHOLE_PICTURE]) * 2
    images = [read_image(path) for path in pictures]

    def cropped(crop: CropConfig) -> list[npt.NDArray[np.uint8]]:
        """Both faces as a backbone sees them."""
        return [crop_face(image, box, crop) for image, box in zip(images, of_each, strict=False)]

    features = features_by_recipes(config.recipes, cropped, weights, device)
    logit = pair_logits(head, features[:1], features[1:])
    probability = float(probability_of(head, logit)[0])
    first, second = map(str, pictures)
    return Prediction(
        (first, second), probability, DECISION_THRESHOLD, folder.name, config.features
    )


def _overlap(folder: Path, config: RunConfig, labelled: Labelled, allow_overlap: bool) -> int:
    num_overlap = len(labelled.face_ids() & load_seen_faces(folder, config))
    if num_overlap and not allow_overlap:
        raise FacesLeak(
            f"{num_overlap} faces of the test split were seen in training by {folder.name}, so its "
            "figures would be too good. Mend the split, or insist with --allow-overlap."
        )
    return num_overlap
