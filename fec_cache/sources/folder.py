"""Labelled pictures -> a set in FEC's format, its answers marked as coming from labels.

Labels are no similarity judgements: figures from such a set stand in for raters' and must say so.
"""

import csv
import io
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from fec_cache.config import check_range
from fec_cache.errors import BadAnnotations, OutputExists, StorageFailed
from fec_cache.sources.annotations import write_rejected
from fec_cache.sources.labelled import LabelledFace, read_labelled
from fec_cache.sources.labelled_triplets import LabelTriplet, sample_triplets

MARKER = "imported.json"
LABEL_RATER = "label"
_TYPE = "TWO_CLASS_TRIPLET"


@dataclass(frozen=True)
class FolderConfig:
    """How labelled pictures become triplets.

    `triplets` 0 means three per picture. People are parted into test and training, and the
    training people into `blocks` that share no triplet, so that validation costs none.
    """

    triplets: int = 0
    test_share: float = 0.2
    blocks: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every field."""
        check_range("triplets", self.triplets, 0, 100_000_000)
        check_range("test share", self.test_share, 0.05, 0.9)
        check_range("blocks", self.blocks, 1, 1000)
        check_range("seed", self.seed, 0, 2**63 - 1)


@dataclass(frozen=True)
class FolderSummary:
    """What was written. num_seen == num_faces + num_rejected."""

    out: Path
    num_seen: int
    num_faces: int
    num_rejected: int
    num_identities: int
    expressions: dict[str, int]
    num_train_triplets: int
    num_test_triplets: int


def import_folder(
    source: Path,
    out: Path,
    config: FolderConfig,
    on_progress: Callable[[int, int], None] | None = None,
) -> FolderSummary:
    """Make a set in FEC's format from labelled pictures.

    Every triplet has two faces of one expression, from two people where people are known, and one
    of another. All are two-class triplets with one rater, named `label`.

    Args:
        source: see `read_labelled`.
        out: the folder to write; new, empty, or made by this function before.
        config: how many triplets, which split.
        on_progress: told pictures copied and pictures in all.

    Raises:
        MissingData, BadAnnotations: the source is not usable.
        OutputExists: `out` holds something else.
        StorageFailed: the disk would not take it.
    """
    labelled = read_labelled(source)
    _check_out(out)
    faces = labelled.faces
    parts = _part_people(faces, config)
    wanted = config.triplets or 3 * len(faces)
    rng = np.random.default_rng([config.seed, 1])
    triplets = {split: sample_triplets(faces, groups, wanted, rng) for split, groups in parts}
    for split, found in triplets.items():
        if not found:
            raise BadAnnotations(
                f"{source} gives no {split} triplet: at least two expressions are needed, one of "
                "them from two different people, among the people of that split."
            )
    try:
        _write(out, source, faces, triplets, config, on_progress)
        write_rejected(out / "rejected.csv", labelled.rejected)
    except OSError as error:
        raise StorageFailed(
            f"{error.filename or out} could not be written: {error.strerror}. Make room and run "
            "the same command again."
        ) from error
    words = sorted({face.expression for face in faces})
    return FolderSummary(
        out=out,
        num_seen=len(faces) + len(labelled.rejected),
        num_faces=len(faces),
        num_rejected=len(labelled.rejected),
        num_identities=len({face.identity for face in faces if face.identity}),
        expressions={word: sum(face.expression == word for face in faces) for word in words},
        num_train_triplets=len(triplets["train"]),
        num_test_triplets=len(triplets["test"]),
    )


def _check_out(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise OutputExists(f"{out} is a file. Name a folder with --out.")
    if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise OutputExists(
            f"{out} is not empty and was not made by import-folder. Name a new folder with --out."
        )


def _part_people(
    faces: Sequence[LabelledFace], config: FolderConfig
) -> tuple[tuple[str, list[list[int]]], ...]:
    """Row numbers of the faces of each split, the training ones in blocks of people."""
    rng = np.random.default_rng([config.seed, 0])
    people: dict[str, list[int]] = {}
    for row, face in enumerate(faces):
        # A face of nobody known is a person of its own, as is every picture of one image.
        people.setdefault(face.identity or f"\0{face.image}", []).append(row)
    names = [list(people)[i] for i in rng.permutation(len(people)).tolist()]
    num_test = max(1, round(config.test_share * len(names)))
    test = [row for name in names[:num_test] for row in people[name]]
    blocks: list[list[int]] = [[] for _ in range(config.blocks)]
    for place, name in enumerate(names[num_test:]):
        blocks[place % config.blocks].extend(people[name])
    return ("train", blocks), ("test", [test])


def _write(
    out: Path,
    source: Path,
    faces: Sequence[LabelledFace],
    triplets: dict[str, list[LabelTriplet]],
    config: FolderConfig,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    marker = {"answers": "labels", "source": source.name, **asdict(config)}
    (out / MARKER).write_text(json.dumps(marker, indent=1) + "\n", encoding="utf-8")
    for number, face in enumerate(faces, start=1):
        target = out / "images" / face.image
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(face.path, target)
        if on_progress is not None:
            on_progress(number, len(faces))
    labels = [["image", "identity", "expression", "left", "right", "top", "bottom"]]
    labels += [[f.image, f.identity, f.expression, *map(str, f.box)] for f in faces]
    (out / "labels.csv").write_text(_csv(labels), encoding="utf-8", newline="")
    for split, found in triplets.items():
        rows = "".join(_line(faces, triplet) for triplet in found)
        (out / f"{split}.csv").write_text(rows, encoding="utf-8", newline="")


def _line(faces: Sequence[LabelledFace], triplet: LabelTriplet) -> str:
    cells: list[str] = []
    for row in triplet.faces:
        image = faces[row].image.replace('"', '""')
        cells += [f'"{image}"', *(repr(float(side)) for side in faces[row].box)]
    return ",".join([*cells, _TYPE, LABEL_RATER, str(triplet.answer)]) + "\n"


def _csv(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()
