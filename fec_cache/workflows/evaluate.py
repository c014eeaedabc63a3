"""Heads on the test split."""

import json
from pathlib import Path

from fec_cache.cache.joined import caches_of_recipes
from fec_cache.cli.console import Console
from fec_cache.datasets.face_labels import read_face_labels
from fec_cache.datasets.origin import origin_of
from fec_cache.datasets.survivors import read_survivors
from fec_cache.evaluation.report import evaluate_head
from fec_cache.reports.model_card import model_card
from fec_cache.runs.checkpoint import load_head, load_seen_faces
from fec_cache.runs.files import CARD_NAME, EVALUATION_NAME
from fec_cache.system.atomic import write_atomically
from fec_cache.system.workspace import Workspace
from fec_cache.workflows.baseline import find_original, measure_baseline
from fec_cache.workflows.evaluate_outcome import EvaluateOutcome
from fec_cache.workflows.labelled import (
    load_labelled,
    warn_of_random_weights,
)
from fec_cache.workflows.overlap import find_overlap, row_labels, warn_of_missing


def run_evaluate(
    workspace: Workspace, folder: Path, allow_overlap: bool, console: Console
) -> EvaluateOutcome:
    """Measure a head on the test split and write `evaluation.json` into its run.

    Raises:
        HeadMismatch, CacheMismatch: head and cache do not belong together.
        FacesLeak: test faces or people were seen in training.
    """
    head, config = load_head(folder)
    console.say(f"Head: {folder}, {config.head.head} on {config.features}")
    caches = caches_of_recipes(workspace.cache_dir, config.recipes)
    warn_of_random_weights(caches.recipes, console)
    labelled = load_labelled(workspace, "test", caches, 0.0, console)
    warn_of_missing(labelled.counts, console)
    labels = read_face_labels(workspace.data_dir)
    overlap = find_overlap(workspace, load_seen_faces(folder, config), labelled, labels)
    overlap.refuse_unless(allow_overlap, folder.name)
    evaluation = evaluate_head(
        head,
        labelled.matrix.features,
        labelled.table,
        labels=row_labels(labelled, labels),
        min_agreement=config.pairs.min_agreement,
    )
    original = find_original(workspace, config, labelled, console)
    outcome = EvaluateOutcome(
        folder,
        config,
        labelled,
        evaluation,
        overlap,
        origin_of(workspace.data_dir),
        measure_baseline(original, [evaluation], evaluation.units) if original else None,
        read_survivors(workspace.data_dir),
    )
    for warning in evaluation.warnings:
        console.warn(warning)
    _save(outcome, workspace)
    return outcome


def _save(outcome: EvaluateOutcome, workspace: Workspace) -> None:
    text = json.dumps(outcome.to_dict(), indent=1, allow_nan=False)
    write_atomically(outcome.folder / EVALUATION_NAME, (text + "\n").encode())
    card = model_card(outcome, workspace.data_dir)
    write_atomically(outcome.folder / CARD_NAME, card.encode())
