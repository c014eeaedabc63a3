"""Annotated triplets -> rows of a feature matrix, split into training and validation."""

import hashlib
from collections.abc import Sequence

import numpy as np

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.joined import CacheSet, select_caches
from fec_cache.cache.matrix import FeatureMatrix
from fec_cache.cache.recipe import FeatureRecipe, random_weights_notes
from fec_cache.datasets.annotations import write_rejected
from fec_cache.errors import BadOption, NothingToTrain
from fec_cache.pairs.annotated import AnnotatedPairs, load_pairs
from fec_cache.pairs.build import TripletCounts, TripletTable, build_triplets
from fec_cache.pairs.config import PairConfig
from fec_cache.pairs.labelled import Labelled
from fec_cache.pairs.split import Split
from fec_cache.system.checks import check_type
from fec_cache.system.reporter import Reporter
from fec_cache.system.wording import counted
from fec_cache.system.workspace import Workspace
from fec_cache.workflows.loading.faces import table_of_faces
from fec_cache.workflows.loading.split import split_labelled

_OPEN_CACHES = "what open_cache gives, or a list of these"


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
    """Map annotated triplets to rows of the feature matrix of the caches.

    Raises:
        NothingToTrain: no triplet has features for all three faces.
    """
    annotations = pairs.annotations
    workspace = Workspace(pairs.data_dir, caches.caches[0].folder.parent)
    faces = table_of_faces(workspace, [annotations], reporter)
    matrix = caches.load(set(faces.ids().values()))
    if matrix.num_incomplete:
        reporter.warning(
            f"{counted(matrix.num_incomplete, 'face')} left out: in some but not all of "
            f"{caches.names}."
        )
    ids, rows = faces.ids(), matrix.rows()
    table, counts = build_triplets(
        annotations.triplets, ids, rows, min_agreement, len(annotations.rejected)
    )
    reporter.message(f"{annotations.path.name}: {counts.in_words()}")
    if not len(table):
        raise NothingToTrain(
            f"{annotations.path} has no usable triplet with the features of "
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
    return "Triplets need a majority of raters and at least --min-agreement."


def _digest(matrix: FeatureMatrix, table: TripletTable) -> str:
    """Digest of the triplets: 16 hex digits."""
    # Row numbers depend on the cache; face ids, digests of image bytes and box, do not.
    face_ids = np.array(matrix.face_ids, "S")[table.rows]
    digest = hashlib.sha256(face_ids.tobytes())
    digest.update(table.votes.tobytes() + table.types.tobytes())
    return digest.hexdigest()[:16]


def label_training(
    cache: FeatureCache | Sequence[FeatureCache],
    pairs: AnnotatedPairs,
    config: PairConfig,
    reporter: Reporter,
) -> tuple[Labelled, Split]:
    """Training and validation triplets on open caches, whose features are put side by side.

    Raises:
        BadOption: there is no cache, or an argument has the wrong type.
        NothingToTrain: no triplet has features for all three faces, or too few are left.
    """
    check_type("cache", cache, (FeatureCache, Sequence), _OPEN_CACHES)
    caches = CacheSet((cache,) if isinstance(cache, FeatureCache) else tuple(cache))
    for each in caches.caches:
        check_type("cache", each, FeatureCache, _OPEN_CACHES)
    if not caches.caches:
        raise BadOption("The list of caches is empty. Open at least one with open_cache.")
    check_type("pairs", pairs, AnnotatedPairs, "what load_pairs gives")
    check_type("split", config, PairConfig, "a PairConfig")
    warn_of_random_weights(caches.recipes, reporter)
    labelled = label_pairs(pairs, caches, config.min_agreement, reporter)
    return labelled, split_labelled(labelled, config, reporter)


def load_training(
    workspace: Workspace, features: str | None, pairs: PairConfig, reporter: Reporter
) -> tuple[Labelled, Split]:
    """Training and validation triplets on the caches that `features` names."""
    caches = select_caches(workspace.cache_dir, features)
    folders = ", ".join(str(cache.folder) for cache in caches.caches)
    reporter.message(f"Features: {caches.label} from {folders}")
    warn_of_random_weights(caches.recipes, reporter)
    labelled = load_labelled(workspace, "train", caches, pairs.min_agreement, reporter)
    return labelled, split_labelled(labelled, pairs, reporter)


def warn_of_random_weights(recipes: Sequence[FeatureRecipe], reporter: Reporter) -> None:
    """Warn if features come from a backbone that was never trained."""
    for note in random_weights_notes(recipes):
        reporter.warning(note)
