"""Making a set: synthetic faces, or labelled pictures."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fec_cache.cli.console import Console
from fec_cache.datasets.labelled.config import FolderConfig
from fec_cache.datasets.labelled.import_folder import FolderSummary, import_folder
from fec_cache.datasets.synthetic.config import SyntheticConfig
from fec_cache.datasets.synthetic.dataset import SyntheticSummary, synthesize
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


def run_synthesize(
    out: Path, faces: int, triplets: int, seed: int, console: Console
) -> SynthesizeOutcome:
    """Draw a synthetic set.

    Raises:
        BadOption, OutputExists, StorageFailed: see `synthesize`.
    """
    config = SyntheticConfig(faces=faces, triplets=triplets, seed=seed)
    with console.progress("Drawing", "faces") as step:
        summary = synthesize(out, config, lambda done, total: step(done, total, ""))
    return SynthesizeOutcome(summary)


def run_import(source: Path, out: Path, config: FolderConfig, console: Console) -> ImportOutcome:
    """Make a set from labelled pictures.

    Raises:
        MissingData, BadAnnotations, OutputExists, StorageFailed: see `import_folder`.
    """
    with console.progress("Copying", "pictures") as step:
        summary = import_folder(source, out, config, lambda done, total: step(done, total, ""))
    return ImportOutcome(summary)
