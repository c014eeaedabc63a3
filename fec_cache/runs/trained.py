"""A trained head in memory, with all that its run will contain."""

from dataclasses import dataclass
from pathlib import Path

from fec_cache.errors import OutputExists
from fec_cache.heads.base import PairHead
from fec_cache.runs.checkpoint import save_run
from fec_cache.runs.config import RunConfig
from fec_cache.runs.files import CONFIG_NAME, OWN_NAMES, SEARCH_NAME, STALE_NAMES
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
        """Write the head as a run, in place of an earlier run there, and give its folder.

        Raises:
            OutputExists: the folder holds a search, or files that are not a run's.
            StorageFailed: the disk is full or the folder cannot be written.
        """
        path = Path(folder)
        check_run_folder(path)
        self.write_to(path)
        return path

    def write_to(self, folder: Path) -> None:
        """Write the head's files into a folder, whatever else it holds."""
        best = self.result.best
        metrics = {
            "val_triplet_accuracy": best.val_triplet_accuracy,
            "val_calibration_error": self.calibration_error,
            "val_loss": best.val_loss,
            "best_epoch": best.epoch,
            "epochs": len(self.result.history),
            "duration_s": self.result.duration_s,
        }
        save_run(folder, self.head, self.config, self.result.history, metrics, self.face_ids)


def check_run_folder(folder: Path) -> None:
    """Check that a run may be written into a folder: new, empty, or a run already.

    Raises:
        OutputExists: it holds a search, which keeps its best head there, or other files.
    """
    if (folder / SEARCH_NAME).exists():
        raise OutputExists(
            f"{folder} contains a search, which keeps its best head there. Choose another --name, "
            "or remove the folder."
        )
    if folder.exists() and not folder.is_dir():
        raise OutputExists(f"{folder} is a file. Name a folder for the run.")
    # Names with a dot are temporary files of a killed write, or the system's.
    paths = folder.iterdir() if folder.is_dir() else ()
    names = {path.name for path in paths if not path.name.startswith(".")}
    # What a killed run leaves has no configuration, but only files of a run.
    foreign = sorted(names - OWN_NAMES - set(STALE_NAMES))
    if foreign and CONFIG_NAME not in names:
        raise OutputExists(
            f"{folder} contains {foreign[0]}, which is not part of a run. Choose a new folder."
        )
