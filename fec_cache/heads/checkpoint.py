"""A trained head on disk: safetensors for the weights, JSON for the rest. No pickles."""

import csv
import dataclasses
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch

from fec_cache.config import FeatureRecipe, HeadConfig, PairConfig, TrainConfig
from fec_cache.errors import HeadMismatch, MissingData
from fec_cache.features.storage import write_atomically
from fec_cache.heads.model import PairHead, build_head
from fec_cache.heads.train import Epoch

FORMAT_VERSION = 1
WEIGHTS_NAME = "head.safetensors"
CONFIG_NAME = "config.json"
HISTORY_NAME = "history.csv"
METRICS_NAME = "metrics.json"


@dataclass(frozen=True)
class RunConfig:
    """How a head came about: enough to train it again and to refuse features that do not fit."""

    recipe: FeatureRecipe
    head: HeadConfig
    train: TrainConfig
    pairs: PairConfig
    data: Mapping[str, Any]

    def to_json(self) -> str:
        """JSON text with a format version and the recipe's fingerprint."""
        fields = {
            "format_version": FORMAT_VERSION,
            "fingerprint": self.recipe.fingerprint,
            "features": self.recipe.label,
            "recipe": json.loads(self.recipe.canonical_json()),
            "head": dataclasses.asdict(self.head),
            "train": dataclasses.asdict(self.train),
            "pairs": dataclasses.asdict(self.pairs),
            "data": dict(self.data),
        }
        return json.dumps(fields, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "RunConfig":
        """Read it back.

        Raises:
            ValueError, TypeError, KeyError: not a run's configuration.
        """
        fields = json.loads(text)
        head = {**fields["head"], "hidden": tuple(fields["head"]["hidden"])}
        return cls(
            recipe=FeatureRecipe.from_json(json.dumps(fields["recipe"])),
            head=HeadConfig(**head),
            train=TrainConfig(**fields["train"]),
            pairs=PairConfig(**fields["pairs"]),
            data=fields["data"],
        )


def save_run(
    folder: Path,
    head: PairHead,
    config: RunConfig,
    history: tuple[Epoch, ...],
    metrics: Mapping[str, Any],
) -> None:
    """Write a run: the configuration last, since it is what makes a folder a run.

    Raises:
        StorageFailed: the disk would not take it.
    """
    write_atomically(folder / WEIGHTS_NAME, safetensors.torch.save(head.state_dict()))
    write_atomically(folder / HISTORY_NAME, _history_csv(history))
    write_atomically(folder / METRICS_NAME, (json.dumps(metrics, indent=1) + "\n").encode())
    write_atomically(folder / CONFIG_NAME, config.to_json().encode())


def load_config(folder: Path) -> RunConfig:
    """The configuration of a run.

    Raises:
        MissingData: the folder is no run.
        HeadMismatch: its configuration cannot be read.
    """
    path = folder / CONFIG_NAME
    try:
        return RunConfig.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingData(
            f"{folder} is not a run: it has no {CONFIG_NAME}. Run: fec train-head"
        ) from error
    except (OSError, ValueError, TypeError, KeyError) as error:
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
    head = build_head(config.head, config.recipe.width)
    path = folder / WEIGHTS_NAME
    try:
        head.load_state_dict(safetensors.torch.load(path.read_bytes()))
    except FileNotFoundError as error:
        raise MissingData(f"{path} is missing. Train the head again.") from error
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise HeadMismatch(
            f"{path} does not fit its {CONFIG_NAME} ({reason}). Train the head again."
        ) from error
    head.eval()
    return head, config


def load_history(folder: Path) -> tuple[Epoch, ...]:
    """The epochs of a run; none where its history is missing or unreadable."""
    try:
        with (folder / HISTORY_NAME).open(encoding="utf-8", newline="") as file:
            return tuple(
                Epoch(int(row.pop("epoch")), **{name: float(value) for name, value in row.items()})
                for row in csv.DictReader(file)
            )
    except (OSError, ValueError, TypeError, KeyError):
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


def _history_csv(history: tuple[Epoch, ...]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [field.name for field in dataclasses.fields(Epoch)])
    writer.writeheader()
    writer.writerows(dataclasses.asdict(epoch) for epoch in history)
    return text.getvalue().encode()
