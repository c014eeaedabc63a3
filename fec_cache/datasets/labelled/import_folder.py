"""Labelled pictures -> a set in FEC's format, its answers marked as coming from labels.

Labels are no similarity judgements: figures from such a set stand in for raters' and must say so.
"""

import contextlib
import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from fec_cache.datasets.annotations import (
    SPLITS,
    check_image,
    numbered_lines,
    split_line,
    write_rejected,
)
from fec_cache.datasets.image_paths import is_url
from fec_cache.datasets.labelled.read import (
    LabelledFace,
    LabelledSet,
    read_labelled,
    without_copies,
)
from fec_cache.datasets.labelled.triplets import LabelTriplet, sample_triplets
from fec_cache.datasets.out_folder import check_out
from fec_cache.errors import BadAnnotations, MissingData, OutputExists, StorageFailed, system_advice
from fec_cache.system.checks import check_range
from fec_cache.system.wording import counted

MARKER = "imported.json"
LABELS = "labels.csv"
LABEL_RATER = "label"
_TYPE = "TWO_CLASS_TRIPLET"
_BLOCK_PEOPLE, _BLOCK_FACES = 4, 24
_Triplets = Mapping[str, Sequence[LabelTriplet]]


@dataclass(frozen=True)
class FolderConfig:
    """How labelled pictures become triplets.

    `triplets` 0 means three per picture. People are parted into test and training, and the
    training people into `blocks` that share no triplet, so that validation costs none; few people
    or pictures make fewer blocks.
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
    """What was written. num_seen == num_faces + num_rejected.

    `num_unused` of the faces stand in no triplet.
    """

    out: Path
    num_seen: int
    num_faces: int
    num_rejected: int
    num_identities: int
    expressions: dict[str, int]
    num_train_triplets: int
    num_test_triplets: int
    num_unused: int


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
        source: see `read_labelled`; a copy of a picture under another name is turned down.
        out: the folder to write; new, empty, or made by this function before. Of an earlier import
            the pictures and tables are deleted, other files stay.
        config: how many triplets, which split.
        on_progress: told pictures copied and pictures in all.

    Raises:
        MissingData, BadAnnotations: the source is not usable.
        OutputExists: `out` holds something else, or pictures of the source.
        StorageFailed: the disk would not take it.
    """
    labelled = without_copies(read_labelled(source))
    faces = labelled.faces
    _check_out(out, source, faces)
    triplets = _draw_triplets(source, faces, config)
    try:
        _write(out, source, faces, triplets, config, on_progress)
        write_rejected(out / "rejected.csv", labelled.rejected)
    except OSError as error:
        raise StorageFailed(
            f"{error.filename or out} could not be written: {error.strerror or error}; "
            f"{system_advice(error)}"
        ) from error
    return _summarise(out, labelled, triplets)


def _summarise(out: Path, labelled: LabelledSet, triplets: _Triplets) -> FolderSummary:
    faces = labelled.faces
    used = {row for found in triplets.values() for triplet in found for row in triplet.faces}
    return FolderSummary(
        out=out,
        num_seen=len(faces) + len(labelled.rejected),
        num_faces=len(faces),
        num_rejected=len(labelled.rejected),
        num_identities=len({face.identity for face in faces if face.identity}),
        expressions=dict(sorted(Counter(face.expression for face in faces).items())),
        num_train_triplets=len(triplets["train"]),
        num_test_triplets=len(triplets["test"]),
        num_unused=len(faces) - len(used),
    )


def _check_out(out: Path, source: Path, faces: Sequence[LabelledFace]) -> None:
    check_out(out, MARKER, "fec import-folder")
    target = out.resolve()
    # What an earlier import wrote is deleted before the pictures are copied.
    if any(folder.resolve().is_relative_to(target) for folder in {f.path.parent for f in faces}):
        raise OutputExists(
            f"{source} takes in pictures that lie in {out}, which would be overwritten. Name a "
            "folder outside of the source with --out."
        )


def _draw_triplets(source: Path, faces: Sequence[LabelledFace], config: FolderConfig) -> _Triplets:
    wanted = config.triplets or 3 * len(faces)
    rng = np.random.default_rng([config.seed, 1])
    triplets = {
        split: sample_triplets(faces, groups, wanted, rng)
        for split, groups in _part_people(faces, config)
    }
    for split, found in triplets.items():
        if not found:
            raise BadAnnotations(
                f"{source} gives no {split} triplet from "
                f"{counted(len(faces), 'usable picture')}: two expressions are "
                "needed, one of them from two different people, among the people of that split. "
                "Add pictures, or try another --test-share or more --triplets."
            )
    return triplets


def _part_people(
    faces: Sequence[LabelledFace], config: FolderConfig
) -> tuple[tuple[str, list[list[int]]], ...]:
    """Row numbers of the faces of each split, the training ones in blocks of people."""
    rng = np.random.default_rng([config.seed, 0])
    people: dict[str, list[int]] = {}
    for row, face in enumerate(faces):
        # A face of nobody known is a person of its own, as is every picture of one image.
        people.setdefault(face.identity or f"\0{face.image}", []).append(row)
    names = list(people)
    names = [names[i] for i in rng.permutation(len(names)).tolist()]
    num_test = max(1, round(config.test_share * len(names)))
    test = [row for name in names[:num_test] for row in people[name]]
    train = names[num_test:]
    num_train_faces = len(faces) - len(test)
    # Blocks of one or two people would give next to no triplets with two people of one expression.
    num_blocks = min(config.blocks, len(train) // _BLOCK_PEOPLE, num_train_faces // _BLOCK_FACES)
    blocks: list[list[int]] = [[] for _ in range(max(1, num_blocks))]
    for place, name in enumerate(train):
        blocks[place % len(blocks)].extend(people[name])
    return ("train", blocks), ("test", [test])


def _write(
    out: Path,
    source: Path,
    faces: Sequence[LabelledFace],
    triplets: _Triplets,
    config: FolderConfig,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    _clear_earlier(out)
    marker = {"answers": "labels", "source": source.resolve().name, **asdict(config)}
    (out / MARKER).write_text(json.dumps(marker, indent=1) + "\n", encoding="utf-8")
    labels = [["image", "identity", "expression", "left", "right", "top", "bottom"]]
    labels += [[f.image, f.identity, f.expression, *map(str, f.box)] for f in faces]
    # The list stands before the pictures: after a kill it still tells which of them are ours.
    (out / LABELS).write_text(_csv(labels), encoding="utf-8", newline="")
    _copy_pictures(out / "images", faces, on_progress)
    for split, found in triplets.items():
        rows = "".join(_line(faces, triplet) for triplet in found)
        (out / f"{split}.csv").write_text(rows, encoding="utf-8", newline="")


def _clear_earlier(out: Path) -> None:
    """Delete what an earlier import wrote here, and only that."""
    for split in SPLITS:
        (out / f"{split}.csv").unlink(missing_ok=True)
    if not (out / LABELS).is_file():
        return
    folders: set[PurePosixPath] = set()
    for _, text in numbered_lines(out / LABELS):
        try:
            image = split_line(text)[0]
            check_image(image)
        except ValueError:
            continue
        if is_url(image):
            continue
        (out / "images" / image).unlink(missing_ok=True)
        folders.update(PurePosixPath(image).parents)
    for folder in sorted(folders, reverse=True):
        with contextlib.suppress(OSError):
            (out / "images" / folder).rmdir()
    (out / LABELS).unlink()


def _copy_pictures(
    images_dir: Path,
    faces: Sequence[LabelledFace],
    on_progress: Callable[[int, int], None] | None,
) -> None:
    pictures = {face.image: face.path for face in faces}
    for number, (image, path) in enumerate(pictures.items(), start=1):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise MissingData(f"{path} cannot be read: {error.strerror or error}.") from error
        target = images_dir / image
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        if on_progress is not None:
            on_progress(number, len(pictures))


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
