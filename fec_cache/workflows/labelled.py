"""From folders to tables: what training, search, evaluation and report all begin with."""

import hashlib
import math
from collections.abc import Sequence

import numpy as np

from fec_cache.cache.joined import CacheSet, select_caches
from fec_cache.cache.matrix import FeatureMatrix
from fec_cache.cache.recipe import FeatureRecipe, random_weights_notes
from fec_cache.datasets.annotations import (
    SPLITS,
    Annotations,
    find_annotations,
    read_annotations,
    write_rejected,
)
from fec_cache.datasets.image_paths import is_url
from fec_cache.errors import MissingData, NothingToTrain
from fec_cache.faces.digests import ImageDigests
from fec_cache.faces.table import FaceTable, identify_faces, unique_refs
from fec_cache.pairs.annotated import AnnotatedPairs, load_pairs
from fec_cache.pairs.build import TripletCounts, TripletTable, build_triplets
from fec_cache.pairs.config import PairConfig
from fec_cache.pairs.labelled import Labelled
from fec_cache.pairs.split import Split, split_triplets
from fec_cache.system.reporter import Reporter
from fec_cache.system.wording import counted, percent
from fec_cache.system.workspace import Workspace

FEWEST_VALIDATION, ENOUGH_VALIDATION = 5, 200


def read_splits(workspace: Workspace, reporter: Reporter) -> list[Annotations]:
    """Annotations of train.csv and, where there is one, test.csv; rejected rows are told."""
    found = []
    for split in SPLITS:
        try:
            path = find_annotations(workspace.data_dir, split)
        except MissingData:
            if split == "train":
                raise
            reporter.warning(f"{workspace.data_dir} has no test split; only train.csv is used.")
            continue
        found.append(read_annotations(path))
    return found


def table_of_faces(
    workspace: Workspace,
    annotations: list[Annotations],
    reporter: Reporter,
    digests: ImageDigests | None = None,
) -> FaceTable:
    """The unique faces of annotations, identified by their images' bytes.

    Args:
        workspace: the folders.
        annotations: of one split or of both.
        reporter: for progress.
        digests: how images are read; without it as `ImageDigests` does by itself.

    Raises:
        MissingData: not one face has an image.
    """
    refs = unique_refs(triplet for part in annotations for triplet in part.triplets)
    workspace.cache_dir.mkdir(parents=True, exist_ok=True)
    with reporter.progress("Looking at images", "images") as step:
        faces = identify_faces(
            refs,
            workspace.images_dir,
            digests or ImageDigests(workspace.cache_dir),
            lambda done, total: step(done, total, ""),
        )
    if not faces.present:
        first = faces.missing[0]
        fetch = f" Fetch them: fec download --data {workspace.data_dir}"
        raise MissingData(
            f"Not one of {counted(len(refs), 'face')} has an image. The first, "
            f"{first.ref.image_path}: "
            f"{first.reason}. Expected the images in {workspace.images_dir}."
            f"{fetch if is_url(first.ref.image) else ''}"
        )
    return faces


def load_labelled(
    workspace: Workspace,
    split: str,
    caches: CacheSet,
    min_agreement: float,
    reporter: Reporter,
) -> Labelled:
    """Read the triplets of a split as rows of the caches' matrix; rejected rows go to a file.

    Raises:
        NothingToTrain: no triplet has features for all three faces.
    """
    pairs = load_pairs(workspace.data_dir, split)
    rejected_path = workspace.runs_dir / f"rejected-{split}.csv"
    write_rejected(rejected_path, pairs.annotations.rejected)
    labelled = label_pairs(pairs, caches, min_agreement, reporter)
    if labelled.counts.num_rejected:
        reporter.warning(f"rejected rows are listed in {rejected_path}")
    return labelled


def label_pairs(
    pairs: AnnotatedPairs, caches: CacheSet, min_agreement: float, reporter: Reporter
) -> Labelled:
    """Point annotated triplets into the matrix of the caches.

    Raises:
        NothingToTrain: no triplet has features for all three faces.
    """
    annotations = pairs.annotations
    workspace = Workspace(pairs.data_dir, caches.caches[0].folder.parent)
    faces = table_of_faces(workspace, [annotations], reporter)
    matrix = caches.load(set(faces.ids().values()))
    if matrix.num_incomplete:
        reporter.warning(
            f"{counted(matrix.num_incomplete, 'face')} in some of {caches.names} but not in all: "
            "left out."
        )
    ids, rows = faces.ids(), matrix.rows()
    table, counts = build_triplets(
        annotations.triplets, ids, rows, min_agreement, len(annotations.rejected)
    )
    reporter.message(f"{annotations.path.name}: {counts.in_words()}")
    if not len(table):
        raise NothingToTrain(
            f"{annotations.path} gives no usable triplet with the features of "
            f"{caches.names} ({counts.in_words()}). {_advice(workspace, caches, counts)}"
        )
    pictures = {rows[i]: ref for ref, i in ids.items() if i in rows}
    return Labelled(caches, matrix, table, counts, pictures, _digest(matrix, table), pairs.data_dir)


def _advice(workspace: Workspace, caches: CacheSet, counts: TripletCounts) -> str:
    if counts.num_without_feature:
        layers: dict[str, list[str]] = {}
        for recipe in caches.recipes:
            layers.setdefault(recipe.backbone, []).append(recipe.layer)
        return "Run: " + " and ".join(
            f"fec extract --data {workspace.data_dir} --backbone {name} --layer {','.join(words)}"
            for name, words in layers.items()
        )
    return "Triplets with a majority are needed, and with the asked --min-agreement."


def _digest(matrix: FeatureMatrix, table: TripletTable) -> str:
    """Names the triplets by their faces' content: row numbers alone may mean other faces."""
    face_ids = np.array(matrix.face_ids, "S")[table.rows]
    digest = hashlib.sha256(face_ids.tobytes())
    digest.update(table.votes.tobytes() + table.types.tobytes())
    return digest.hexdigest()[:16]


def load_training(
    workspace: Workspace, features: str | None, pairs: PairConfig, reporter: Reporter
) -> tuple[Labelled, Split]:
    """Training and validation triplets on the caches that are meant."""
    caches = select_caches(workspace.cache_dir, features)
    folders = ", ".join(str(cache.folder) for cache in caches.caches)
    reporter.message(f"Features: {caches.label} from {folders}")
    warn_of_random_weights(caches.recipes, reporter)
    labelled = load_labelled(workspace, "train", caches, pairs.min_agreement, reporter)
    return labelled, split_labelled(labelled, pairs, reporter)


def split_labelled(labelled: Labelled, pairs: PairConfig, reporter: Reporter) -> Split:
    """Split triplets into training and validation, and say what the split is worth.

    Raises:
        NothingToTrain: validation would be a handful of triplets.
    """
    split = split_triplets(labelled.table, pairs.validation_share, pairs.split_seed)
    reporter.message(
        f"Split by {split.method}: {len(split.train)} training and "
        f"{counted(len(split.validation), 'validation triplet')} ({percent(_share(split))}), "
        f"{split.num_dropped} dropped between them"
    )
    _judge_split(split, pairs, reporter)
    return split


def _judge_split(split: Split, pairs: PairConfig, reporter: Reporter) -> None:
    """Say where a split is not what was asked for, and refuse one that can rank nothing.

    Raises:
        NothingToTrain: validation is a handful of triplets.
    """
    num, asked = len(split.validation), pairs.validation_share
    if num < FEWEST_VALIDATION:
        raise NothingToTrain(
            f"Only {counted(num, 'triplet')} left for validation, too few to tell one epoch from "
            f"another; at least {FEWEST_VALIDATION} are needed. Add triplets, or raise "
            f"--validation-share (now {asked:g})."
        )
    if abs(_share(split) - asked) > asked / 3:
        reason = "its faces hang together" if split.method == "faces" else "it has few large parts"
        reporter.warning(
            f"validation got {percent(_share(split))} of the parted triplets instead of the asked "
            f"{percent(asked)}: no face may stand on both sides, and {reason}."
        )
    if num < ENOUGH_VALIDATION:
        reporter.warning(
            f"with {counted(num, 'validation triplet')} the accuracy is sure to about "
            f"{100 * math.sqrt(2 / 9 / num):.0f} points only; heads closer than that are not told "
            "apart."
        )


def _share(split: Split) -> float:
    return len(split.validation) / (len(split.train) + len(split.validation))


def warn_of_random_weights(recipes: Sequence[FeatureRecipe], reporter: Reporter) -> None:
    """Say so wherever features come from a backbone that was never trained."""
    for note in random_weights_notes(recipes):
        reporter.warning(note)
