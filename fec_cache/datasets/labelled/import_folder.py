"""Labelled pictures -> a set in FEC's format, marked as made from labels.

Labels are not judgements of similarity. Figures on such a set only approximate figures on raters'
judgements, and every report says so.
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
from fec_cache.datasets.labelled.config import FolderConfig
from fec_cache.datasets.labelled.read import (
    LabelledFace,
    LabelledSet,
    read_labelled,
    reject_copies,
)
from fec_cache.datasets.labelled.triplets import LabelTriplet, sample_triplets
from fec_cache.datasets.out_folder import check_out
from fec_cache.errors import BadAnnotations, MissingData, OutputExists, StorageFailed, system_advice
from fec_cache.system.wording import counted

MARKER = "imported.json"
LABELS = "labels.csv"
LABEL_RATER = "label"
_TYPE = "TWO_CLASS_TRIPLET"
# Smaller blocks yield hardly any triplet: each needs two people who show one expression, and a
# third face with another one.
_BLOCK_PEOPLE, _BLOCK_FACES = 4, 24
_Triplets = Mapping[str, Sequence[LabelTriplet]]


@dataclass(frozen=True)
class FolderSummary:
    """What was written; num_seen == num_faces + num_rejected.

    Attributes:
        out: the folder.
        num_seen: files or table rows in the source.
        num_faces: usable faces.
        num_rejected: files or rows that cannot be used; `rejected.csv` lists the reasons.
        num_identities: known people among the faces.
        expressions: number of faces per expression.
        num_train_triplets, num_test_triplets: rows of the two files.
        num_unused: faces that are in no triplet.
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

    Every triplet has two faces with the same expression, from two people where people are known,
    and one face with another expression. All are two-class triplets with one rater, named `label`.

    Args:
        source: see `read_labelled`; copies of a face under another name are rejected.
        out: the folder to write; new, empty, or made by this function before. Pictures and tables
            of an earlier import are deleted, other files stay.
        config: number of triplets, and the split.
        on_progress: called with the number of pictures copied so far and their total.

    Raises:
        MissingData, BadAnnotations: the source is not usable.
        OutputExists: `out` holds other files, or pictures of the source.
        StorageFailed: writing failed.
    """
    labelled = reject_copies(read_labelled(source))
    faces = labelled.faces
    _check_out(out, source, faces)
    triplets = _draw_triplets(source, faces, config)
    try:
        _start(out, source, faces, config)
        _copy_pictures(out / "images", faces, on_progress)
        _write_triplets(out, faces, triplets)
        write_rejected(out / "rejected.csv", labelled.rejected)
    except OSError as error:
        raise StorageFailed(
            f"{error.filename or out} could not be written: {error.strerror or error}; "
            f"{system_advice(error)}"
        ) from error
    return _summarise(out, labelled, triplets)


def _summarise(out: Path, labelled: LabelledSet, triplets: _Triplets) -> FolderSummary:
    faces = labelled.faces
    used = {row for split in triplets.values() for triplet in split for row in triplet.faces}
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
    # The pictures of an earlier import are deleted first: the source would be gone before copying.
    if any(folder.resolve().is_relative_to(target) for folder in {f.path.parent for f in faces}):
        raise OutputExists(
            f"{source} includes pictures inside {out}, which this import would delete. "
            "Pass an --out folder outside the source."
        )


def _draw_triplets(source: Path, faces: Sequence[LabelledFace], config: FolderConfig) -> _Triplets:
    wanted = config.triplets or 3 * len(faces)
    # Its own stream, apart from the split's: more triplets never move a person to another split.
    rng = np.random.default_rng([config.seed, 1])
    triplets = {
        split: sample_triplets(faces, groups, wanted, rng)
        for split, groups in _split_people(faces, config)
    }
    for split, triplets_of_split in triplets.items():
        if not triplets_of_split:
            raise BadAnnotations(
                f"{source} gives no {split} triplet from "
                f"{counted(len(faces), 'usable picture')}: the people of that split must show two "
                "expressions, one of them shown by two people. Add pictures, change --test-share, "
                "or increase --triplets."
            )
    return triplets


def _split_people(
    faces: Sequence[LabelledFace], config: FolderConfig
) -> tuple[tuple[str, list[list[int]]], ...]:
    """Row numbers of the faces of each split; training rows in blocks of people.

    Blocks that share no triplet let validation take whole blocks and drop nothing; see
    docs/decisions/0004.
    """
    rng = np.random.default_rng([config.seed, 0])
    people: dict[str, list[int]] = {}
    for row, face in enumerate(faces):
        # Each picture without an identity counts as one person. The NUL keeps its name from
        # colliding with an identity.
        people.setdefault(face.identity or f"\0{face.image}", []).append(row)
    names = list(people)
    names = [names[i] for i in rng.permutation(len(names)).tolist()]
    num_test = max(1, round(config.test_share * len(names)))
    test = [row for name in names[:num_test] for row in people[name]]
    train = names[num_test:]
    num_train_faces = len(faces) - len(test)
    num_blocks = min(config.blocks, len(train) // _BLOCK_PEOPLE, num_train_faces // _BLOCK_FACES)
    blocks: list[list[int]] = [[] for _ in range(max(1, num_blocks))]
    for number, name in enumerate(train):
        blocks[number % len(blocks)].extend(people[name])
    return ("train", blocks), ("test", [test])


def _start(out: Path, source: Path, faces: Sequence[LabelledFace], config: FolderConfig) -> None:
    """Clear what an earlier import wrote, and write the marker and the labels."""
    out.mkdir(parents=True, exist_ok=True)
    _clear_earlier(out)
    marker = {"answers": "labels", "source": source.resolve().name, **asdict(config)}
    (out / MARKER).write_text(json.dumps(marker, indent=1) + "\n", encoding="utf-8")
    labels = [["image", "identity", "expression", "left", "right", "top", "bottom"]]
    labels += [[f.image, f.identity, f.expression, *map(str, f.box)] for f in faces]
    # Written before the pictures: after a kill, the next import knows which of them to delete.
    (out / LABELS).write_text(_csv(labels), encoding="utf-8", newline="")


def _write_triplets(out: Path, faces: Sequence[LabelledFace], triplets: _Triplets) -> None:
    for split, triplets_of_split in triplets.items():
        lines = "".join(_line(faces, triplet) for triplet in triplets_of_split)
        # newline="" keeps "\n" on Windows, so that a seed gives the same bytes on every system.
        (out / f"{split}.csv").write_text(lines, encoding="utf-8", newline="")


def _clear_earlier(out: Path) -> None:
    """Delete what an earlier import wrote, and nothing else."""
    for split in SPLITS:
        (out / f"{split}.csv").unlink(missing_ok=True)
    if not (out / LABELS).is_file():
        return
    folders: set[PurePosixPath] = set()
    for _, text in numbered_lines(out / LABELS):
        # Users can edit this list: an entry that leads out of images/ must delete nothing.
        try:
            image = split_line(text)[0]
            check_image(image)
        except ValueError:
            continue
        if is_url(image):
            continue
        (out / "images" / image).unlink(missing_ok=True)
        folders.update(PurePosixPath(image).parents)
    # Deepest first; rmdir refuses folders that still hold other files.
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
            raise MissingData(
                f"{path} cannot be read: {error.strerror or error}. Do not change the source "
                "during the import; run it again."
            ) from error
        target = images_dir / image
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        if on_progress is not None:
            on_progress(number, len(pictures))


def _line(faces: Sequence[LabelledFace], triplet: LabelTriplet) -> str:
    """One row in FEC's format; the csv module cannot quote the image column alone."""
    cells: list[str] = []
    for row in triplet.faces:
        image = faces[row].image.replace('"', '""')
        cells += [f'"{image}"', *(repr(float(side)) for side in faces[row].box)]
    return ",".join([*cells, _TYPE, LABEL_RATER, str(triplet.answer)]) + "\n"


def _csv(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()
