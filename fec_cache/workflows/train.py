"""`fec train-head` as one call, and how a trained head is saved."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fec_cache import __version__
from fec_cache.cli.console import Console
from fec_cache.datasets.annotations import shortened
from fec_cache.datasets.origin import origin_of
from fec_cache.errors import BadOption, OutputExists
from fec_cache.evaluation.validation import calibration_error
from fec_cache.inference.network import choose_device
from fec_cache.pairs.config import PairConfig
from fec_cache.pairs.split import Split
from fec_cache.runs.checkpoint import save_run
from fec_cache.runs.config import RunConfig
from fec_cache.runs.files import RESULTS_NAME, SEARCH_NAME
from fec_cache.search.space import Point, unread_defaults
from fec_cache.system.atomic import remove_quietly
from fec_cache.system.wording import duration, percent
from fec_cache.system.workspace import Workspace
from fec_cache.training.fit import fit
from fec_cache.training.history import Epoch, TrainResult
from fec_cache.workflows.labelled import Labelled, load_training

_LONGEST_NAME = 200


@dataclass(frozen=True)
class HeadRequest:
    """What training and search have in common: features, triplets, the run's name, the device."""

    features: str | None = None
    pairs: PairConfig = field(default_factory=PairConfig)
    name: str | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        """Check the name: a run is one folder inside of the runs' folder."""
        if self.name is not None:
            _check_name(self.name)


@dataclass(frozen=True)
class TrainOutcome:
    """A trained head, the folder it was saved in, and its calibration error on validation."""

    folder: Path
    result: TrainResult
    config: RunConfig
    calibration_error: float

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "run": str(self.folder),
            "features": self.config.features,
            "val_triplet_accuracy": self.result.best.val_triplet_accuracy,
            "val_calibration_error": self.calibration_error,
            "best_epoch": self.result.best.epoch,
            "epochs": len(self.result.history),
            "duration_s": self.result.duration_s,
            "interrupted": self.result.interrupted,
        }

    def in_words(self) -> str:
        """For people."""
        best = self.result.best
        return (
            f"Validation triplet accuracy {percent(best.val_triplet_accuracy)} (chance 33.3 %) at "
            f"epoch {best.epoch} of {len(self.result.history)}, "
            f"in {duration(self.result.duration_s)}\n"
            f"P(similar) is calibrated, expected error {self.calibration_error:.3f} there\n"
            f"Head: {self.folder}"
        )


def run_train(
    workspace: Workspace, request: HeadRequest, point: Point, console: Console
) -> TrainOutcome:
    """Train one head and save it as a run.

    Raises:
        FecError: no features, no triplets, or a full disk.
    """
    device = str(choose_device(request.device))
    if unread := point.unread():
        console.warn(unread_note(point.head.head, unread))
    if request.name is not None:
        _check_folder(workspace.runs_dir / request.name)
    labelled, split = load_training(workspace, request.features, request.pairs, console)
    ignored = unread_defaults(point.head.head)
    point = point.replaced(ignored).on(labelled.caches.blocks)
    num_epochs = 1 if "epochs" in ignored else point.train.epochs
    with console.progress("Training", "epochs") as step:

        def on_epoch(epoch: Epoch) -> None:
            """Move the bar and tell the accuracy."""
            accuracy = percent(epoch.val_triplet_accuracy)
            step(epoch.epoch, num_epochs, f"validation triplet accuracy {accuracy}")

        result = fit(
            labelled.matrix.features,
            split.train,
            split.validation,
            point.head,
            point.train,
            device,
            on_epoch,
        )
    folder = workspace.runs_dir / (request.name or _run_name(labelled, point, request.pairs))
    remove_quietly(folder / RESULTS_NAME)  # of an earlier search under this name
    return save_head(folder, workspace, labelled, split, point, request.pairs, result)


def unread_note(head: str, names: Sequence[str]) -> str:
    """Says which options a head ignores."""
    options = ", ".join(f"--{name.replace('_', '-')}" for name in names)
    return f"the {head} head does not read {options}"


def _check_folder(folder: Path) -> None:
    """Raise `OutputExists` where a search keeps its best head."""
    if (folder / SEARCH_NAME).exists():
        raise OutputExists(
            f"{folder} holds a search, which keeps its best head there. Choose another --name, or "
            "remove the folder."
        )


def _check_name(name: str) -> None:
    """Raise `BadOption` unless a name can be a folder's on every system, and be typed."""
    if not name or set(name) & set("/\\"):
        problem = "it must be the name of a folder, without slashes"
    elif name[0] in ".-":
        problem = "it must not begin with a dot or a dash"
    elif not name.isprintable() or name != name.strip():
        problem = "it must not have control characters, or blanks at an end"
    elif len(name.encode(errors="surrogateescape")) > _LONGEST_NAME:
        problem = f"it must have at most {_LONGEST_NAME} bytes"
    else:
        return
    raise BadOption(f"The run's name is {shortened(name)}, but {problem}.")


def save_head(
    folder: Path,
    workspace: Workspace,
    labelled: Labelled,
    split: Split,
    point: Point,
    pairs: PairConfig,
    result: TrainResult,
) -> TrainOutcome:
    """Write a trained head as a run, with what it was trained on.

    Raises:
        StorageFailed: the disk would not take it.
    """
    data = {
        "folder": str(workspace.data_dir),
        "origin": origin_of(workspace.data_dir).note,
        "digest": labelled.digest,
        "split": split.method,
        "num_train_triplets": len(split.train),
        "num_validation_triplets": len(split.validation),
        "num_dropped_between": split.num_dropped,
        "rows": asdict(labelled.counts),
        "fec_cache": __version__,
    }
    config = RunConfig(labelled.caches.recipes, point.head, point.train, pairs, data)
    error = calibration_error(result.head, labelled.matrix.features, split.validation)
    metrics = {
        "val_triplet_accuracy": result.best.val_triplet_accuracy,
        "val_calibration_error": error,
        "val_loss": result.best.val_loss,
        "best_epoch": result.best.epoch,
        "epochs": len(result.history),
        "duration_s": result.duration_s,
    }
    # Evaluation refuses faces that a head has seen; both sides of the split count as seen.
    seen = frozenset(labelled.face_ids())
    save_run(folder, result.head, config, result.history, metrics, seen)
    return TrainOutcome(folder, result, config, error)


def _run_name(labelled: Labelled, point: Point, pairs: PairConfig) -> str:
    key = point.key(scope_of(labelled, pairs))[:6]
    first, *others = labelled.caches.recipes
    words = [point.head.head, first.backbone, first.layer]
    words += [f"and-{len(others)}-more"] if others else []
    return "-".join([*words, key]).replace(":", "-").replace("/", "-")


def scope_of(labelled: Labelled, pairs: PairConfig) -> str:
    """Names the features, the triplets and their parting: what a search's point is tried on."""
    fingerprints = ",".join(recipe.fingerprint for recipe in labelled.caches.recipes)
    return digest_of([fingerprints, labelled.digest, asdict(pairs)])


def digest_of(parts: Sequence[object]) -> str:
    """Sha256 of parts as JSON, in hex."""
    return hashlib.sha256(json.dumps(list(parts), sort_keys=True).encode()).hexdigest()
