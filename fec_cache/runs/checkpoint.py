"""A trained head on disk: safetensors for the weights, JSON for the rest. No pickles."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch

from fec_cache.errors import HeadMismatch, MissingData
from fec_cache.heads.base import PairHead
from fec_cache.heads.registry import build_head
from fec_cache.runs.config import RunConfig, digest_of_bytes, load_config
from fec_cache.runs.files import (
    CONFIG_NAME,
    FACES_NAME,
    HISTORY_NAME,
    METRICS_NAME,
    STALE_NAMES,
    WEIGHTS_NAME,
)
from fec_cache.runs.history import history_csv
from fec_cache.system.atomic import remove_quietly, write_atomically
from fec_cache.training.history import Epoch


def save_run(
    folder: Path,
    head: PairHead,
    config: RunConfig,
    history: tuple[Epoch, ...],
    metrics: Mapping[str, Any],
    face_ids: frozenset[str] = frozenset(),
) -> None:
    """Write a run. Its configuration is removed first and written last.

    A folder without a configuration is no run, so a kill never leaves a head under another one's
    configuration. Measurements of an earlier head in this folder are removed, unless the head is
    the same.

    Args:
        folder: of the run.
        head: the trained head.
        config: how it was trained; its `files` are filled in here.
        history: its epochs.
        metrics: figures on validation.
        face_ids: faces that the head has seen in training or validation.

    Raises:
        StorageFailed: a file cannot be written.
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
    write_atomically(folder / HISTORY_NAME, history_csv(history))
    write_atomically(folder / METRICS_NAME, (json.dumps(metrics, indent=1) + "\n").encode())
    write_atomically(folder / CONFIG_NAME, text)


def load_head(folder: Path) -> tuple[PairHead, RunConfig]:
    """A trained head and how it was trained.

    Raises:
        MissingData: the folder is no run.
        HeadMismatch: weights and configuration do not belong together.
    """
    config = load_config(folder)
    weights = _read_file(folder, config, WEIGHTS_NAME)
    try:
        head = build_head(config.head, config.width)
        # Heads saved before calibration had bends lack the buffer.
        head.load_state_dict({"bends": head.bends, **safetensors.torch.load(weights)})
    except (RuntimeError, ValueError, MemoryError, safetensors.SafetensorError) as error:
        raise _does_not_fit(folder / WEIGHTS_NAME, str(error).splitlines()[0]) from error
    head.eval()
    return head, config


def load_seen_faces(folder: Path, config: RunConfig) -> frozenset[str]:
    """Ids of the faces that a head has seen in training or validation.

    Raises:
        MissingData: the list is missing or empty.
        HeadMismatch: it was not written with this head.
    """
    seen = frozenset(_read_file(folder, config, FACES_NAME).decode("ascii", "replace").split())
    if not seen:
        raise MissingData(
            f"{folder / FACES_NAME} is empty, so overlap between test faces and training faces "
            "cannot be checked. Train the head again."
        )
    return seen


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
        reason = error.strerror or str(error)
        raise HeadMismatch(
            f"{path} cannot be read: {reason}. Check file permissions and the disk."
        ) from error
    # Runs of format version 1 have no digests.
    if name in config.files and digest_of_bytes(content) != config.files[name]:
        raise _does_not_fit(path, "its sha256 differs")
    return content


def _does_not_fit(path: Path, reason: str) -> HeadMismatch:
    return HeadMismatch(f"{path} does not fit its {CONFIG_NAME} ({reason}). Train the head again.")
