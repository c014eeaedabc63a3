"""A trained head in memory, with all that its run will contain."""

from dataclasses import dataclass
from pathlib import Path

from fec_cache.heads.base import PairHead
from fec_cache.runs.checkpoint import save_run
from fec_cache.runs.config import RunConfig
from fec_cache.training.history import TrainResult


@dataclass(frozen=True)
class TrainedHead:
    """A head, how it was trained, and what it scored on validation.

    `face_ids` are all faces it has seen, in training or for validation: evaluation refuses them.
    `calibration_error` is the expected calibration error of P(similar) on validation pairs.

    Example:
        >>> from fec_cache import Judge, fit, load_pairs, open_cache
        >>> with open_cache("cache", "toy") as cache:
        ...     trained = fit(cache, load_pairs("data"))
        >>> Judge.load(trained.save("runs/first")).config == trained.config
        True
    """

    result: TrainResult
    config: RunConfig
    calibration_error: float
    face_ids: frozenset[str]

    @property
    def head(self) -> PairHead:
        """The head of the best epoch, calibrated, on the CPU."""
        return self.result.head

    @property
    def val_triplet_accuracy(self) -> float:
        """Triplet accuracy of the best epoch on validation, as a share."""
        return self.result.best.val_triplet_accuracy

    def save(self, folder: str | Path) -> Path:
        """Write the head as a run, and give its folder.

        Raises:
            StorageFailed: the disk is full or the folder cannot be written.
        """
        best = self.result.best
        metrics = {
            "val_triplet_accuracy": best.val_triplet_accuracy,
            "val_calibration_error": self.calibration_error,
            "val_loss": best.val_loss,
            "best_epoch": best.epoch,
            "epochs": len(self.result.history),
            "duration_s": self.result.duration_s,
        }
        path = Path(folder)
        save_run(path, self.head, self.config, self.result.history, metrics, self.face_ids)
        return path
