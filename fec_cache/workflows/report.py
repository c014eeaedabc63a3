"""`fec report` as one call: a run and its figures -> a report page; missing parts are stated."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fec_cache.cache.joined import caches_of_recipes
from fec_cache.cache.recipe import random_weights_notes
from fec_cache.datasets.face_labels import read_face_labels
from fec_cache.datasets.origin import origin_of
from fec_cache.errors import (
    BadImage,
    CacheMismatch,
    CacheNotFound,
    FecError,
    MissingData,
    OutputExists,
)
from fec_cache.evaluation.baseline import Baseline, measure_baseline
from fec_cache.evaluation.face_map import FaceMap, map_faces
from fec_cache.evaluation.outcome import EvaluateOutcome
from fec_cache.evaluation.seed_group import SeedGroup
from fec_cache.faces.images import load_face
from fec_cache.reports.data import MARKER, Picture, ReportData
from fec_cache.runs.checkpoint import load_head
from fec_cache.runs.config import RunConfig, load_config
from fec_cache.runs.files import REPORT_NAME, RESULTS_NAME
from fec_cache.runs.find import find_run, find_runs
from fec_cache.runs.history import load_history
from fec_cache.search.results import by_setting
from fec_cache.system.atomic import write_atomically
from fec_cache.system.extras import require
from fec_cache.system.reporter import Reporter
from fec_cache.system.wording import counted
from fec_cache.system.workspace import Workspace
from fec_cache.workflows.evaluate import evaluate
from fec_cache.workflows.measuring.baseline import check_seeds, named_rivals
from fec_cache.workflows.measuring.seed_group import find_seeds, measure_seeds

# The marker is in the head of the page; megabytes of pictures follow it.
_MARKER_WITHIN = 4096
_NUM_REASONS = 3


def write_report(
    workspace: Workspace,
    run_name: str | None,
    out: Path | None,
    allow_overlap: bool,
    reporter: Reporter,
    is_forced: bool = False,
    against: str | None = None,
) -> Path:
    """Write the report of a run with all seeds of its recipe; missing parts are stated there.

    Args:
        workspace: the folders.
        run_name: a run, or several seeds as `fec compare` takes them; by default the newest run.
        out: the page. [default: in the run]
        allow_overlap: go on even if test faces were seen in training.
        reporter: for warnings.
        is_forced: overwrite a file that is not a report.
        against: runs to compare with; by default those of the original recipe.

    Raises:
        MissingData: there is no such run.
        MissingExtra: matplotlib or jinja2 is not installed.
        BadOption: the runs that were named are not seeds of one recipe.
        OutputExists: `out` exists and is not a report, and `is_forced` is False.
        FacesLeak: test faces were seen in training.
    """
    require_report()
    folders = find_runs(workspace, run_name) if run_name else (find_run(workspace, None),)
    check_seeds(folders)
    path = out or folders[0] / REPORT_NAME
    if not is_forced:
        _check_out(path)
    rivals = find_runs(workspace, against) if against else ()
    data = _gather(workspace, folders, rivals, allow_overlap, reporter)
    # Imported here: matplotlib and jinja2 are an extra.
    from fec_cache.reports.page import render_report

    write_atomically(path, render_report(data).encode())
    return path


def require_report() -> None:
    """Check, before any work starts, that the libraries of the report are installed.

    Raises:
        MissingExtra: matplotlib or jinja2 is not installed.
    """
    for module in ("jinja2", "matplotlib"):
        require(module, "report")


def _gather(
    workspace: Workspace,
    folders: tuple[Path, ...],
    rivals: tuple[Path, ...],
    allow_overlap: bool,
    reporter: Reporter,
) -> ReportData:
    folder = folders[0]
    config = load_config(folder)
    outcome, reason = _evaluate(workspace, folder, allow_overlap, reporter)
    seeds = baseline = None
    if outcome is not None:
        named = folders if len(folders) > 1 else find_seeds(workspace, folder)
        seeds = measure_seeds(named, outcome, reporter)
        baseline = _baseline(workspace, outcome, seeds, rivals, allow_overlap, reporter)
    return ReportData(
        name=folder.name,
        config=config,
        history=load_history(folder),
        evaluation=outcome.evaluation if outcome else None,
        table=outcome.labelled.table if outcome else None,
        baseline=baseline,
        results=_results(folder, reporter),
        picture=_pictures(workspace, outcome),
        notes=_notes(config, outcome, reason),
        face_map=_face_map(folder, outcome),
        words=_expressions(workspace, outcome),
        extraction=_extraction(workspace, config, outcome),
        seeds=seeds,
        origin=origin_of(workspace.data_dir),
    )


def _check_out(path: Path) -> None:
    """Raise `OutputExists` if the path holds anything but a report."""
    if path.is_dir():
        raise OutputExists(f"{path} is a folder. Give a file, as --out {path / REPORT_NAME}.")
    if not path.exists():
        return
    with path.open("rb") as file:
        if MARKER.encode() not in file.read(_MARKER_WITHIN):
            raise OutputExists(
                f"{path} exists and is not a fec report. Choose another file with --out, or "
                "overwrite it with --force."
            )


def _evaluate(
    workspace: Workspace, folder: Path, allow_overlap: bool, reporter: Reporter
) -> tuple[EvaluateOutcome | None, str]:
    """The figures, or None and the reason."""
    try:
        return evaluate(workspace, folder, allow_overlap, reporter), ""
    # Only what is missing: a leak or a damaged head must stop the report, not thin it out.
    except (MissingData, CacheMismatch, CacheNotFound) as error:
        reason = f"The report has no test figures: {error}"
        reporter.warning(reason)
        return None, reason


def _baseline(
    workspace: Workspace,
    outcome: EvaluateOutcome,
    seeds: SeedGroup | None,
    rivals: tuple[Path, ...],
    allow_overlap: bool,
    reporter: Reporter,
) -> Baseline | None:
    """The comparison with the runs that were named, or else with the original recipe."""
    ours = seeds.evaluations if seeds else [outcome.evaluation]
    labelled = outcome.labelled
    if rivals:
        named = named_rivals(workspace, rivals, labelled, allow_overlap, reporter)
        return measure_baseline(named, ours, outcome.evaluation.units)
    if outcome.baseline is None:
        return None
    return outcome.baseline.beside(ours, labelled.table, outcome.evaluation.units)


def _face_map(folder: Path, outcome: EvaluateOutcome | None) -> FaceMap | None:
    if outcome is None:
        return None
    rows = np.unique(outcome.labelled.table.rows)
    return map_faces(load_head(folder)[0], outcome.labelled.matrix.features, rows)


def _expressions(workspace: Workspace, outcome: EvaluateOutcome | None) -> dict[int, str]:
    """Expression word by row of the feature matrix, as far as the set has labels."""
    if outcome is None:
        return {}
    labels = read_face_labels(workspace.data_dir)
    faces = outcome.labelled.picture_of.items()
    return {row: labels[ref].expression for row, ref in faces if ref in labels}


def _extraction(
    workspace: Workspace, config: RunConfig, outcome: EvaluateOutcome | None
) -> tuple[tuple[str, str], ...]:
    """Names and texts: how many faces each cache has, and how many test triplets were used."""
    facts: list[tuple[str, str]] = []
    try:
        caches = caches_of_recipes(workspace.cache_dir, config.recipes).caches
        for cache in caches:
            manifest = cache.manifest()
            num_faces = sum(entry.rows for entry in manifest.shards)
            reasons = Counter(face.reason for face in manifest.failed).most_common(_NUM_REASONS)
            failed = f"{len(manifest.failed)} failed"
            if reasons:
                failed += f" ({'; '.join(f'{count} x {reason}' for reason, count in reasons)})"
            facts.append((cache.folder.name, f"features of {counted(num_faces, 'face')}, {failed}"))
    except FecError as error:
        facts.append(("cache", str(error)))
    if outcome is not None:
        facts.append(("test triplets", outcome.labelled.counts.in_words()))
    return tuple(facts)


def _pictures(workspace: Workspace, outcome: EvaluateOutcome | None) -> Picture:
    def picture(row: int) -> npt.NDArray[np.uint8] | None:
        """The crop [S, S, 3] uint8 of one row, or None."""
        if outcome is None or row not in outcome.labelled.picture_of:
            return None
        ref = outcome.labelled.picture_of[row]
        try:
            return load_face(workspace.images_dir, ref, outcome.config.recipe.crop)
        # A picture may be lost or damaged since extraction: the page shows a gap in its place.
        except BadImage:
            return None

    return picture


def _notes(config: RunConfig, outcome: EvaluateOutcome | None, reason: str) -> tuple[str, ...]:
    notes = [reason, str(config.data.get("origin") or ""), *random_weights_notes(config.recipes)]
    if outcome is not None:
        notes += [*outcome.overlap.in_words(), *outcome.evaluation.warnings]
    return tuple(note for note in notes if note)


def _results(folder: Path, reporter: Reporter) -> tuple[dict[str, str], ...]:
    try:
        with (folder / RESULTS_NAME).open(encoding="utf-8", newline="") as file:
            rows = tuple(csv.DictReader(file, strict=True))
        # DictReader keeps surplus cells under the key None and fills missing ones with None.
        if all(None not in row and None not in row.values() for row in rows):
            return by_setting(rows)
        reason = "its lines have different lengths"
    except FileNotFoundError:
        return ()
    except (OSError, KeyError, ValueError, csv.Error) as error:
        reason = str(error)
    reporter.warning(f"{folder / RESULTS_NAME} cannot be read ({reason}) and is left out.")
    return ()
