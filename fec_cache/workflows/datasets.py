"""Making a data set: synthetic faces, or labelled pictures."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fec_cache.datasets.labelled.config import FolderConfig
from fec_cache.datasets.labelled.import_folder import FolderSummary, import_folder
from fec_cache.datasets.synthetic.config import SyntheticConfig
from fec_cache.datasets.synthetic.dataset import SyntheticSummary
from fec_cache.datasets.synthetic.dataset import synthesize as write_set
from fec_cache.system.checks import check_type
from fec_cache.system.reporter import LOGGING, Reporter
from fec_cache.system.wording import counted, duration, percent


@dataclass(frozen=True)
class SynthesizeOutcome:
    """A synthetic set that was written."""

    summary: SyntheticSummary

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return asdict(self.summary)

    def in_words(self) -> str:
        """For people."""
        made = self.summary
        return (
            f"{made.out}: {counted(made.num_faces, 'synthetic face')} of "
            f"{counted(made.num_identities, 'person', 'people')} on "
            f"{counted(made.num_images, 'picture')}, {made.num_train_triplets} training and "
            f"{counted(made.num_test_triplets, 'test triplet')} in {duration(made.duration_s)}\n"
            f"The average simulated rater agrees with the majority in {percent(made.agreement)}; "
            f"{counted(made.num_ties, 'triplet')} tied\n"
            f"Truth behind every face: {made.out / 'truth.csv'}"
        )


@dataclass(frozen=True)
class ImportOutcome:
    """A set made from labelled pictures."""

    summary: FolderSummary

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return asdict(self.summary)

    def in_words(self) -> str:
        """For people."""
        made = self.summary
        words = ", ".join(f"{word} {count}" for word, count in made.expressions.items())
        num_people = made.num_identities
        people = counted(num_people, "person", "people") if num_people else "unknown people"
        lines = [
            f"{made.out}: {counted(made.num_faces, 'face')} ({words}) of "
            f"{people}, {made.num_train_triplets} training and "
            f"{counted(made.num_test_triplets, 'test triplet')}, made from labels",
        ]
        if made.num_unused:
            lines.append(f"{counted(made.num_unused, 'face')} in no triplet")
        if made.num_rejected:
            where = made.out / "rejected.csv"
            lines.append(
                f"{made.num_rejected} of {counted(made.num_seen, 'picture')} not used: see {where}"
            )
        return "\n".join(lines)


def synthesize(
    out: str | Path,
    config: SyntheticConfig | None = None,
    reporter: Reporter = LOGGING,
) -> SynthesizeOutcome:
    """Write a synthetic set: drawn faces and simulated raters, in FEC's format.

    Args:
        out: the folder to write; new, empty, or a synthetic set that is replaced.
        config: number of faces and triplets, and the seed.
        reporter: for progress.

    Raises:
        OutputExists: the folder holds something else.
        StorageFailed: the disk is full or the folder cannot be written.

    Example:
        >>> from fec_cache import SyntheticConfig
        >>> outcome = synthesize("drawn", SyntheticConfig(faces=30, triplets=20))
        >>> outcome.summary.num_faces
        30
    """
    out, config = Path(out), config or SyntheticConfig()
    check_type("config", config, SyntheticConfig, "a SyntheticConfig")
    with reporter.progress("Drawing", "faces") as step:
        summary = write_set(out, config, lambda done, total: step(done, total, ""))
    return SynthesizeOutcome(summary)


def import_pictures(
    source: Path, out: Path, config: FolderConfig, reporter: Reporter
) -> ImportOutcome:
    """Make a dataset from labelled pictures.

    Raises:
        MissingData, BadAnnotations, OutputExists, StorageFailed: see `import_folder`.
    """
    with reporter.progress("Copying", "pictures") as step:
        summary = import_folder(source, out, config, lambda done, total: step(done, total, ""))
    return ImportOutcome(summary)
