"""`fec evaluate` as one call: a head on the test split, its figures and its model card."""

import json
from pathlib import Path

from fec_cache.cache.joined import caches_of_recipes
from fec_cache.datasets.origin import origin_of
from fec_cache.datasets.survivors import read_survivors
from fec_cache.evaluation.baseline import measure_baseline
from fec_cache.evaluation.outcome import EvaluateOutcome
from fec_cache.evaluation.report import evaluate_head
from fec_cache.pairs.labelled import Labelled
from fec_cache.reports.model_card import model_card
from fec_cache.runs.checkpoint import load_head
from fec_cache.runs.config import RunConfig
from fec_cache.runs.files import CARD_NAME, EVALUATION_NAME
from fec_cache.runs.find import find_run
from fec_cache.system.atomic import write_atomically
from fec_cache.system.checks import check_type
from fec_cache.system.reporter import LOGGING, Reporter
from fec_cache.system.workspace import Workspace
from fec_cache.workflows.loading.triplets import load_labelled, warn_of_random_weights
from fec_cache.workflows.measuring.baseline import find_original
from fec_cache.workflows.measuring.overlap import LeakCheck, row_labels, warn_of_missing


def evaluate(
    workspace: Workspace,
    run: str | Path | None = None,
    allow_overlap: bool = False,
    reporter: Reporter = LOGGING,
) -> EvaluateOutcome:
    """Measure a head on the test split and write `evaluation.json` into its run.

    Args:
        workspace: the folders of data, caches and runs.
        run: name or folder of the run; by default the newest.
        allow_overlap: measure even if the head has seen faces or people of the test split.
        reporter: for progress and warnings.

    Raises:
        MissingData: there is no such run, or no test split.
        HeadMismatch, CacheMismatch: head and cache do not belong together.
        FacesLeak: test faces or people were seen in training.

    Example:
        >>> from fec_cache import Workspace
        >>> outcome = evaluate(Workspace(), "toy")
        >>> 0.0 <= outcome.evaluation.overall.accuracy <= 1.0
        True
    """
    check_type("workspace", workspace, Workspace, "a Workspace, such as Workspace()")
    folder = find_run(workspace, None if run is None else str(run))
    outcome = _measure(workspace, folder, allow_overlap, reporter)
    for warning in outcome.evaluation.warnings:
        reporter.warning(warning)
    _save(outcome, workspace)
    return outcome


def _measure(
    workspace: Workspace, folder: Path, allow_overlap: bool, reporter: Reporter
) -> EvaluateOutcome:
    """The figures of a run's head and of the original recipe on the same triplets."""
    head, config = load_head(folder)
    reporter.message(f"Head: {folder}, {config.head.head} on {config.features}")
    labelled = _test_split(workspace, config, reporter)
    check = LeakCheck.of(workspace, allow_overlap)
    overlap = check.overlap(folder, config, labelled)
    evaluation = evaluate_head(
        head,
        labelled.matrix.features,
        labelled.table,
        labels=row_labels(labelled, check.labels),
        min_agreement=config.pairs.min_agreement,
    )
    original = find_original(workspace, config, labelled, reporter)
    baseline = measure_baseline(original, [evaluation], evaluation.units) if original else None
    origin, survivors = origin_of(workspace.data_dir), read_survivors(workspace.data_dir)
    return EvaluateOutcome(
        folder, config, labelled, evaluation, overlap, origin, baseline, survivors
    )


def _test_split(workspace: Workspace, config: RunConfig, reporter: Reporter) -> Labelled:
    """The test triplets on the caches that a run's head reads."""
    caches = caches_of_recipes(workspace.cache_dir, config.recipes)
    warn_of_random_weights(caches.recipes, reporter)
    # All test triplets count, whatever agreement the head was trained with.
    labelled = load_labelled(workspace, "test", caches, 0.0, reporter)
    warn_of_missing(labelled.counts, reporter)
    return labelled


def _save(outcome: EvaluateOutcome, workspace: Workspace) -> None:
    text = json.dumps(outcome.to_dict(), indent=1, allow_nan=False)
    write_atomically(outcome.folder / EVALUATION_NAME, (text + "\n").encode())
    card = model_card(outcome, workspace.data_dir)
    write_atomically(outcome.folder / CARD_NAME, card.encode())
