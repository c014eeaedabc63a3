"""`fec train-head` as one call: features and triplets -> a trained head, saved as a run."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fec_cache.cache.cache import FeatureCache
from fec_cache.datasets.origin import origin_of
from fec_cache.errors import BadOption
from fec_cache.evaluation.validation import calibration_error
from fec_cache.heads.config import HeadConfig
from fec_cache.inference.network import choose_device
from fec_cache.pairs.annotated import AnnotatedPairs
from fec_cache.pairs.config import PairConfig
from fec_cache.pairs.labelled import Labelled
from fec_cache.pairs.split import Split
from fec_cache.runs.config import RunConfig
from fec_cache.runs.files import RESULTS_NAME
from fec_cache.runs.find import check_run_name
from fec_cache.runs.trained import TrainedHead, check_run_folder
from fec_cache.search.space import Point, unread_defaults
from fec_cache.system.atomic import remove_quietly
from fec_cache.system.checks import check_type
from fec_cache.system.reporter import LOGGING, Reporter
from fec_cache.system.version import VERSION
from fec_cache.system.wording import duration, percent
from fec_cache.system.workspace import Workspace
from fec_cache.training.config import TrainConfig
from fec_cache.training.fit import fit as fit_arrays
from fec_cache.training.history import Epoch, TrainResult
from fec_cache.workflows.loading.triplets import label_training, load_training


@dataclass(frozen=True)
class HeadRequest:
    """What training and search have in common: features, triplets, the run's name, the device."""

    features: str | None = None
    pairs: PairConfig = field(default_factory=PairConfig)
    name: str | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        """Check the name: a run is one folder inside the folder of runs."""
        if self.name is not None:
            check_run_name(self.name)


@dataclass(frozen=True)
class TrainOutcome:
    """A trained head and the folder it was saved in."""

    folder: Path
    trained: TrainedHead

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        result = self.trained.result
        return {
            "run": str(self.folder),
            "features": self.trained.config.features,
            "val_triplet_accuracy": result.best.val_triplet_accuracy,
            "val_calibration_error": self.trained.calibration_error,
            "best_epoch": result.best.epoch,
            "epochs": len(result.history),
            "duration_s": result.duration_s,
            "interrupted": result.interrupted,
        }

    def in_words(self) -> str:
        """For people."""
        result, error = self.trained.result, self.trained.calibration_error
        return (
            f"Validation triplet accuracy {percent(result.best.val_triplet_accuracy)} (chance "
            f"33.3 %) at epoch {result.best.epoch} of {len(result.history)}, "
            f"in {duration(result.duration_s)}\n"
            f"P(similar) is calibrated, expected error {error:.3f} on validation\n"
            f"Head: {self.folder}"
        )


def train(
    workspace: Workspace, request: HeadRequest, point: Point, reporter: Reporter = LOGGING
) -> TrainOutcome:
    """Train one head and save it as a run.

    Raises:
        NothingToTrain: no triplet has features for all three faces, or too few are left.
        OutputExists: the name is that of a search.
        StorageFailed: the disk is full or the folder cannot be written.
    """
    device = str(choose_device(request.device))
    if unread := point.unread():
        reporter.warning(unread_note(point.head.head, unread))
    # Before anything is loaded: a taken name must not cost the training.
    if request.name is not None:
        check_run_folder(workspace.runs_dir / request.name)
    labelled, split = load_training(workspace, request.features, request.pairs, reporter)
    point = _as_read(point, labelled)
    result = _fit(labelled, split, point, device, reporter)
    folder = workspace.runs_dir / (request.name or _run_name(labelled, point, request.pairs))
    remove_quietly(folder / RESULTS_NAME)  # of an earlier search under this name
    trained = trained_head(labelled, split, point, request.pairs, result)
    return TrainOutcome(trained.save(folder), trained)


def fit(
    cache: FeatureCache | Sequence[FeatureCache],
    pairs: AnnotatedPairs,
    head: HeadConfig | None = None,
    train: TrainConfig | None = None,
    split: PairConfig | None = None,
    *,
    device: str = "auto",
    reporter: Reporter = LOGGING,
) -> TrainedHead:
    """Train one head, by default the original recipe; `save(folder)` of the result makes a run.

    Args:
        cache: from `open_cache`, or several whose features are put side by side.
        pairs: from `load_pairs`; faces without features are left out and counted.
        head: the shape of the head.
        train: how it is trained.
        split: which triplets count, and the share held out for validation.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        reporter: for progress and warnings.

    Raises:
        BadOption: there is no cache, or an argument has the wrong type.
        NothingToTrain: no triplet has features for all three faces, or too few are left.
        TrainingDiverged: the loss is not finite in the first epoch.

    Example:
        >>> from fec_cache import HeadConfig, TrainConfig, load_pairs, open_cache
        >>> with open_cache("cache", "toy") as cache:
        ...     trained = fit(cache, load_pairs("data"), HeadConfig("embedding"))
        >>> 0.0 <= trained.val_triplet_accuracy <= 1.0
        True
    """
    split, point = split or PairConfig(), _point_of(head, train, reporter)
    labelled, sides = label_training(cache, pairs, split, reporter)
    point = _as_read(point, labelled)
    result = _fit(labelled, sides, point, str(choose_device(device)), reporter)
    return trained_head(labelled, sides, point, split, result)


def _point_of(head: HeadConfig | None, train: TrainConfig | None, reporter: Reporter) -> Point:
    """The point to train, with a warning for options that its head does not read."""
    head, train = head or HeadConfig(), train or TrainConfig()
    check_type("head", head, HeadConfig, "a HeadConfig")
    check_type("train", train, TrainConfig, "a TrainConfig")
    if head.blocks:
        raise BadOption(
            f"blocks is {head.blocks}, but the widths of several caches side by side are taken "
            "from the caches. Leave blocks out."
        )
    point = Point(head, train)
    if unread := point.unread():
        reporter.warning(unread_note(head.head, unread))
    return point


def _as_read(point: Point, labelled: Labelled) -> Point:
    """The point as it is trained: on these features, with defaults for options never read."""
    return point.replaced(unread_defaults(point.head.head)).on(labelled.caches.blocks)


def _fit(
    labelled: Labelled, split: Split, point: Point, device: str, reporter: Reporter
) -> TrainResult:
    num_epochs = point.epochs
    with reporter.progress("Training", "epochs") as step:

        def on_epoch(epoch: Epoch) -> None:
            """Report the epoch and its accuracy."""
            accuracy = percent(epoch.val_triplet_accuracy)
            step(epoch.epoch, num_epochs, f"validation triplet accuracy {accuracy}")

        features = labelled.matrix.features
        sides = split.train, split.validation
        return fit_arrays(features, *sides, point.head, point.train, device, on_epoch)


def unread_note(head: str, names: Sequence[str]) -> str:
    """A warning that names the options which a head ignores."""
    options = ", ".join(f"--{name.replace('_', '-')}" for name in names)
    return f"the {head} head ignores {options}"


def trained_head(
    labelled: Labelled, split: Split, point: Point, pairs: PairConfig, result: TrainResult
) -> TrainedHead:
    """A result of training with its data and configuration, ready to be saved as a run."""
    data = {
        "folder": str(labelled.data_dir),
        "origin": origin_of(labelled.data_dir).note,
        "digest": labelled.digest,
        "split": split.method,
        "num_train_triplets": len(split.train),
        "num_validation_triplets": len(split.validation),
        "num_dropped_between": split.num_dropped,
        "rows": asdict(labelled.counts),
        "fec_cache": VERSION,
    }
    config = RunConfig(labelled.caches.recipes, point.head, point.train, pairs, data)
    error = calibration_error(result.head, labelled.matrix.features, split.validation)
    # Evaluation refuses faces that a head has seen; both sides of the split count as seen.
    return TrainedHead(result, config, error, frozenset(labelled.face_ids()))


def _run_name(labelled: Labelled, point: Point, pairs: PairConfig) -> str:
    key = point.key(scope_of(labelled, pairs))[:6]
    first, *others = labelled.caches.recipes
    words = [point.head.head, first.backbone, first.layer]
    words += [f"and-{len(others)}-more"] if others else []
    return "-".join([*words, key]).replace(":", "-").replace("/", "-")


def scope_of(labelled: Labelled, pairs: PairConfig) -> str:
    """Digest of the features, the triplets and the split: what a head was trained on."""
    fingerprints = ",".join(recipe.fingerprint for recipe in labelled.caches.recipes)
    return digest_of([fingerprints, labelled.digest, asdict(pairs)])


def digest_of(parts: Sequence[object]) -> str:
    """Sha256 of the parts as JSON, 64 hex digits."""
    return hashlib.sha256(json.dumps(list(parts), sort_keys=True).encode()).hexdigest()
