"""Heads on the test split, and on two new pictures."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fec_cache.config import HeadConfig, TrainConfig
from fec_cache.errors import FacesLeak, FecError, MissingData
from fec_cache.evaluation.report import DECISION_THRESHOLD, Evaluation, evaluate_head
from fec_cache.faces.images import crop_face, read_image
from fec_cache.features.catalogue import cache_of_fingerprint
from fec_cache.features.recipes import features_by_recipe
from fec_cache.features.storage import write_atomically
from fec_cache.heads.checkpoint import CONFIG_NAME, RunConfig, load_config, load_head, newest_run
from fec_cache.heads.scoring import pair_logits, probability_of
from fec_cache.surfaces.console import Console, percent, table
from fec_cache.surfaces.folders import Workspace
from fec_cache.surfaces.train_job import TRAIN_FACES_NAME
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
            "features": self.config.recipe.label,
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
        title = f"{self.folder.name} on {self.config.recipe.label}: triplet accuracy, chance 33.3 %"
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
    console.say(f"Head: {folder}, {config.head.head} on {config.recipe.label}")
    cache = cache_of_fingerprint(workspace.cache_dir, config.recipe.fingerprint)
    warn_of_random_weights(cache, console)
    labelled = load_labelled(workspace, "test", cache, config.pairs.min_agreement, console)
    num_overlap = _overlap(folder, labelled, allow_overlap)
    evaluation = evaluate_head(head, labelled.matrix.features, labelled.table)
    outcome = EvaluateOutcome(
        folder, config, labelled, evaluation, num_overlap, origin_note(workspace.data_dir)
    )
    text = json.dumps(outcome.to_dict(), indent=1, allow_nan=False)
    write_atomically(folder / EVALUATION_NAME, (text + "\n").encode())
    return outcome


def find_baseline(workspace: Workspace, config: RunConfig) -> Path | None:
    """A run of the original recipe on the same features and triplets, if there is one."""
    for path in sorted(workspace.runs_dir.glob(f"*/{CONFIG_NAME}")):
        try:
            other = load_config(path.parent)
        except FecError:
            continue
        is_original = other.head == HeadConfig() and other.train == TrainConfig()
        same_data = other.data.get("digest") == config.data.get("digest")
        if is_original and same_data and other.recipe == config.recipe:
            return path.parent
    return None


def run_predict(
    folder: Path,
    pictures: tuple[Path, Path],
    boxes: Sequence[Box],
    weights: str | None,
    device: str,
) -> Prediction:
    """Say whether two pictures show similar expressions.

    Args:
        folder: the run.
        pictures: two image files.
        boxes: of the faces, none (whole pictures), one (for both) or two.
        weights: the backbone's weights file, if it is not where it is looked for.
        device: in torch's words, or `auto`.

    Raises:
        BadImage: a picture cannot be used.
        WeightsNotFound, WeightsMismatch: the head's backbone is not at hand.
    """
    head, config = load_head(folder)
    recipe = config.recipe
    of_each = (list(boxes) or [WHOLE_PICTURE]) * 2
    crops = [
        crop_face(read_image(path), box, recipe.crop)
        for path, box in zip(pictures, of_each, strict=False)
    ]
    features = features_by_recipe(recipe, crops, weights, device)
    logit = pair_logits(head, features[:1], features[1:])
    probability = float(probability_of(head, logit)[0])
    first, second = map(str, pictures)
    return Prediction((first, second), probability, DECISION_THRESHOLD, folder.name, recipe.label)


def _overlap(folder: Path, labelled: Labelled, allow_overlap: bool) -> int:
    try:
        seen = set((folder / TRAIN_FACES_NAME).read_text(encoding="utf-8").split())
        if not seen:
            raise ValueError("it is empty")
    except (OSError, ValueError) as error:
        raise MissingData(
            f"{folder / TRAIN_FACES_NAME} cannot be read ({error}): without it nobody can "
            "say whether test faces were seen in training. Train the head again."
        ) from error
    num_overlap = len(labelled.face_ids() & seen)
    if num_overlap and not allow_overlap:
        raise FacesLeak(
            f"{num_overlap} faces of the test split were seen in training by {folder.name}, so its "
            "figures would be too good. Mend the split, or insist with --allow-overlap."
        )
    return num_overlap
