"""A trained head on disk: safetensors for the weights, JSON for the rest. No pickles."""

import csv
import dataclasses
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch

from fec_cache.errors import HeadMismatch, MissingData
from fec_cache.heads.base import PairHead, build_head
from fec_cache.runs.config import RunConfig, digest_of_bytes
from fec_cache.system.atomic import remove_quietly, write_atomically
from fec_cache.training.history import Epoch

WEIGHTS_NAME = "head.safetensors"
CONFIG_NAME = "config.json"
HISTORY_NAME = "history.csv"
METRICS_NAME = "metrics.json"
FACES_NAME = "train_faces.txt"
# What is said of a head and would be wrong of the next one in the same folder.
STALE_NAMES = ("evaluation.json", "model_card.md", "report.html")


def save_run(
    folder: Path,
    head: PairHead,
    config: RunConfig,
    history: tuple[Epoch, ...],
    metrics: Mapping[str, Any],
    face_ids: frozenset[str] = frozenset(),
) -> None:
    """Write a run: the configuration goes first and comes back last, since it makes the run.

    A kill on the way leaves a folder that is no run, never a head under another's configuration.
    What was measured of an earlier head in this folder is removed, unless the head is the same.

    Args:
        folder: of the run.
        head: the trained head.
        config: how it came about; its `files` are filled in here.
        history: its epochs.
        metrics: figures on validation.
        face_ids: every face the head has seen, training and validation.

    Raises:
        StorageFailed: the disk would not take it.
    """
    weights = safetensors.torch.save(head.state_dict())
    faces = "".join(f"{face_id}\n" for face_id in sorted(face_ids)).encode()
    files = {WEIGHTS_NAME: weights, FACES_NAME: faces}
    digests = {name: digest_of_bytes(content) for name, content in files.items()}
    text = dataclasses.replace(config, files=digests).to_json().encode()
    is_same = _is_same(folder, text)
    remove_quietly(folder / CONFIG_NAME)
    for name in () if is_same else STALE_NAMES:
        remove_quietly(folder / name)
    for name, content in files.items():
        write_atomically(folder / name, content)
    write_atomically(folder / HISTORY_NAME, _history_csv(history))
    write_atomically(folder / METRICS_NAME, (json.dumps(metrics, indent=1) + "\n").encode())
    write_atomically(folder / CONFIG_NAME, text)


def load_config(folder: Path) -> RunConfig:
    """The configuration of a run.

    Raises:
        MissingData: the folder is no run.
        HeadMismatch: its configuration cannot be read.
    """
    path = folder / CONFIG_NAME
    try:
        return RunConfig.from_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingData(
            f"{folder} is not a run: it has no {CONFIG_NAME}. Run: fec train-head"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise HeadMismatch(
            f"{path} cannot be read as a run's configuration ({error}). Train the head again."
        ) from error


def load_head(folder: Path) -> tuple[PairHead, RunConfig]:
    """A trained head and how it came about.

    Raises:
        MissingData: the folder is no run.
        HeadMismatch: weights and configuration do not belong together.
    """
    config = load_config(folder)
    weights = _read_file(folder, config, WEIGHTS_NAME)
    try:
        head = build_head(config.head, config.width)
        # Heads of earlier versions are calibrated without bends.
        head.load_state_dict({"bends": head.bends, **safetensors.torch.load(weights)})
    except (RuntimeError, ValueError, MemoryError, safetensors.SafetensorError) as error:
        raise _does_not_fit(folder / WEIGHTS_NAME, str(error).splitlines()[0]) from error
    head.eval()
    return head, config


def load_seen_faces(folder: Path, config: RunConfig) -> frozenset[str]:
    """Ids of every face that a head has seen, in training or for validation.

    Raises:
        MissingData: the list is not there or empty.
        HeadMismatch: it is not the one that was written with the head.
    """
    seen = frozenset(_read_file(folder, config, FACES_NAME).decode("ascii", "replace").split())
    if not seen:
        raise MissingData(
            f"{folder / FACES_NAME} is empty: without it nobody can say whether test faces were "
            "seen in training. Train the head again."
        )
    return seen


def load_history(folder: Path) -> tuple[Epoch, ...]:
    """The epochs of a run; none where its history is missing or unreadable."""
    try:
        with (folder / HISTORY_NAME).open(encoding="utf-8", newline="") as file:
            return tuple(_epoch(row) for row in csv.DictReader(file, strict=True))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, csv.Error):
        return ()


def newest_run(runs_dir: Path) -> Path:
    """The run whose configuration was written last.

    Raises:
        MissingData: there is no run.
    """
    configs = sorted(runs_dir.glob(f"*/{CONFIG_NAME}"), key=lambda p: (p.stat().st_mtime_ns, p))
    if not configs:
        raise MissingData(f"{runs_dir} has no trained head. Run: fec train-head")
    return configs[-1].parent


def _is_same(folder: Path, config: bytes) -> bool:
    try:
        return (folder / CONFIG_NAME).read_bytes() == config
    except OSError:
        return False


def _read_file(folder: Path, config: RunConfig, name: str) -> bytes:
    path = folder / name
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise MissingData(f"{path} is missing. Train the head again.") from error
    except OSError as error:
        raise HeadMismatch(
            f"{path} cannot be read: {error.strerror or error}. Mend its permissions or the disk."
        ) from error
    # Runs of format version 1 do not name their files' digests.
    if name in config.files and digest_of_bytes(content) != config.files[name]:
        raise _does_not_fit(path, "its bytes are not the ones that were saved with it")
    return content


def _does_not_fit(path: Path, reason: str) -> HeadMismatch:
    return HeadMismatch(f"{path} does not fit its {CONFIG_NAME} ({reason}). Train the head again.")


def _epoch(row: dict[str, str]) -> Epoch:
    number = int(row.pop("epoch"))
    epoch = Epoch(number, **{name: float(value) for name, value in row.items()})
    if not math.isfinite(epoch.val_triplet_accuracy):
        raise ValueError(f"epoch {number} has no accuracy")
    return epoch


def _history_csv(history: tuple[Epoch, ...]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [field.name for field in dataclasses.fields(Epoch)])
    writer.writeheader()
    writer.writerows(dataclasses.asdict(epoch) for epoch in history)
    return text.getvalue().encode()
