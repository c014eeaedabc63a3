"""A run, whatever of it is there -> its report page."""

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fec_cache.errors import BadImage, CacheMismatch, CacheNotFound, MissingData
from fec_cache.faces.images import load_face
from fec_cache.features.storage import write_atomically
from fec_cache.heads.checkpoint import load_config, load_history
from fec_cache.heads.run_config import RunConfig
from fec_cache.surfaces.console import Console
from fec_cache.surfaces.evaluate_job import EvaluateOutcome, find_run, run_evaluate
from fec_cache.surfaces.folders import Workspace
from fec_cache.surfaces.report_page import Picture, ReportData, render_report
from fec_cache.surfaces.search_job import RESULTS_NAME
from fec_cache.surfaces.workspace import random_weights_notes

REPORT_NAME = "report.html"


def run_report(
    workspace: Workspace,
    run_name: str | None,
    out: Path | None,
    allow_overlap: bool,
    console: Console,
) -> Path:
    """Write the report of a run; what is missing is said on the page.

    Raises:
        MissingData: there is no such run.
        FacesLeak: test faces were seen in training.
    """
    folder = find_run(workspace, run_name)
    config = load_config(folder)
    outcome = _evaluate(workspace, folder, allow_overlap, console)
    data = ReportData(
        name=folder.name,
        config=config,
        history=load_history(folder),
        evaluation=outcome.evaluation if outcome else None,
        table=outcome.labelled.table if outcome else None,
        baseline=outcome.baseline if outcome else None,
        results=_results(folder),
        picture=_pictures(workspace, outcome),
        notes=_notes(config, outcome),
    )
    path = out or folder / REPORT_NAME
    write_atomically(path, render_report(data).encode())
    return path


def _evaluate(
    workspace: Workspace, folder: Path, allow_overlap: bool, console: Console
) -> EvaluateOutcome | None:
    try:
        return run_evaluate(workspace, folder, allow_overlap, console)
    except (MissingData, CacheMismatch, CacheNotFound) as error:
        console.warn(f"The report has no test figures: {error}")
        return None


def _pictures(workspace: Workspace, outcome: EvaluateOutcome | None) -> Picture:
    def picture(row: int) -> npt.NDArray[np.uint8] | None:
        """The crop of one row, or None."""
        if outcome is None or row not in outcome.labelled.picture_of:
            return None
        ref = outcome.labelled.picture_of[row]
        try:
            return load_face(workspace.images_dir, ref, outcome.config.recipe.crop)
        except BadImage:
            return None

    return picture


def _notes(config: RunConfig, outcome: EvaluateOutcome | None) -> tuple[str, ...]:
    notes = [str(config.data.get("origin") or ""), *random_weights_notes(config.recipes)]
    if outcome is not None:
        notes += [*outcome.overlap.in_words(), *outcome.evaluation.warnings]
    return tuple(note for note in notes if note)


def _results(folder: Path) -> tuple[dict[str, str], ...]:
    try:
        with (folder / RESULTS_NAME).open(encoding="utf-8", newline="") as file:
            return tuple(csv.DictReader(file))
    except OSError:
        return ()
