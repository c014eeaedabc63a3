"""`fec compare` as one call: two heads, or two groups of seeds, on the same test triplets."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fec_cache.cache.joined import caches_of_recipes
from fec_cache.datasets.origin import origin_of
from fec_cache.errors import BadOption
from fec_cache.evaluation.checks import check_finite, check_logits
from fec_cache.evaluation.compare import Comparison, compare_by_type
from fec_cache.evaluation.figures import plain
from fec_cache.evaluation.people import RowLabels
from fec_cache.evaluation.report import units_of
from fec_cache.heads.scoring import similarity_of
from fec_cache.pairs.build import TripletCounts, TripletTable
from fec_cache.pairs.credit import triplet_credit
from fec_cache.pairs.labelled import Labelled
from fec_cache.runs.checkpoint import load_head
from fec_cache.runs.config import RunConfig
from fec_cache.runs.find import find_groups
from fec_cache.system.checks import check_type
from fec_cache.system.reporter import LOGGING, SILENT, Parts, Reporter, Table
from fec_cache.system.wording import counted, percent
from fec_cache.system.workspace import Workspace
from fec_cache.workflows.loading.triplets import load_labelled
from fec_cache.workflows.measuring.overlap import LeakCheck, row_labels, warn_of_missing


@dataclass(frozen=True)
class CompareOutcome:
    """Comparisons by triplet type, `all` last; `names` are the runs of A and of B."""

    names: tuple[tuple[str, ...], tuple[str, ...]]
    comparisons: dict[str, Comparison]
    num_left_out: int
    redrawn: str
    overlap: tuple[str, ...]
    origin: str

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "a": list(self.names[0]),
            "b": list(self.names[1]),
            "triplets": {
                name: plain(asdict(comparison)) for name, comparison in self.comparisons.items()
            },
            "num_left_out": self.num_left_out,
            "redrawn": self.redrawn,
            "overlap": list(self.overlap),
            "origin": self.origin,
        }

    def parts(self) -> Parts:
        """For people: a table by type and the verdict in one line."""
        rows = [
            [
                name,
                str(comparison.num_triplets),
                percent(comparison.accuracy_a),
                percent(comparison.accuracy_b),
                _signed(comparison),
                f"{comparison.only_a:.0f} : {comparison.only_b:.0f}",
            ]
            for name, comparison in self.comparisons.items()
        ]
        columns = ["triplets", "number", "A", "B", "A - B, points", "only A : only B"]
        sides = [", ".join(names) for names in self.names]
        overall = self.comparisons["all"]
        lines: list[str | Table] = [
            Table(f"A = {sides[0]}\nB = {sides[1]}\ntriplet accuracy", columns, rows),
            f"A is {overall.in_words()} (95 %: {100 * overall.low:+.1f} to "
            f"{100 * overall.high:+.1f}; standard error over {self.redrawn}"
            f"{' and seeds' if max(overall.num_seeds) > 1 else ''})"
            if overall.difference
            else f"A and B: {overall.in_words()}",
        ]
        if not np.isnan(overall.mcnemar_p):
            lines.append(
                f"McNemar's exact test, which treats triplets as independent: "
                f"p = {overall.mcnemar_p:.2g}"
            )
        if self.num_left_out:
            lines.append(
                f"{counted(self.num_left_out, 'triplet')} left out: only one side has features."
            )
        return [*lines, *self.overlap, *([self.origin] if self.origin else [])]


@dataclass(frozen=True)
class _Answers:
    """One run's answers on T triplets: face ids `faces` [T, 3], `credit` [T] in [0, 1]."""

    name: str
    table: TripletTable
    people: RowLabels | None
    faces: npt.NDArray[np.bytes_]
    credit: npt.NDArray[np.float64]


def compare(
    workspace: Workspace,
    a: str,
    b: str,
    allow_overlap: bool = False,
    reporter: Reporter = LOGGING,
) -> CompareOutcome:
    """Compare two heads, or two groups of seeds, on the same test triplets.

    Args:
        workspace: the folders of data, caches and runs.
        a: a run, a comma-separated list of runs, or a pattern such as `best-*`: seeds of one
            setting.
        b: likewise.
        allow_overlap: compare although a head has seen faces or people of the test split.
        reporter: for progress and warnings.

    Raises:
        MissingData: there is no such run.
        FacesLeak: a head has seen test faces or people.
        BadOption: the two groups share a run, or have no test triplet in common.

    Example:
        >>> from fec_cache import Workspace
        >>> outcome = compare(Workspace(), "toy", "toy")
        >>> outcome.comparisons["all"].difference
        0.0
    """
    check_type("workspace", workspace, Workspace, "a Workspace, such as Workspace()")
    for name, runs in (("a", a), ("b", b)):
        check_type(name, runs, str, "the name of a run, a list of names with commas, or a pattern")
    groups = find_groups(workspace, a, b)
    measuring = _Measuring(workspace, allow_overlap, reporter)
    sides = [[measuring.answers(folder) for folder in folders] for folders in groups]
    if not _common([*sides[0], *sides[1]])[0].any():
        raise BadOption(f"{a!r} and {b!r} have no test triplet in common.")
    return _outcome(workspace, sides[0], sides[1], tuple(measuring.warned))


def _outcome(
    workspace: Workspace, a: list[_Answers], b: list[_Answers], warned: tuple[str, ...]
) -> CompareOutcome:
    keeps = _common([*a, *b])
    kept, people = a[0].table.take(keeps[0]), a[0].people
    units, redrawn = units_of(kept, people)
    credits = [run.credit[keep] for run, keep in zip([*a, *b], keeps, strict=True)]
    return CompareOutcome(
        names=(tuple(run.name for run in a), tuple(run.name for run in b)),
        comparisons=compare_by_type(credits[: len(a)], credits[len(a) :], kept.types, units),
        num_left_out=max(len(run.credit) for run in [*a, *b]) - len(kept),
        redrawn=redrawn,
        overlap=warned,
        origin=origin_of(workspace.data_dir).note,
    )


class _Measuring:
    """Measures one run after the other; the test split is read once per set of caches."""

    def __init__(self, workspace: Workspace, allow_overlap: bool, reporter: Reporter) -> None:
        self.warned: list[str] = []
        self._workspace, self._reporter = workspace, reporter
        self._check = LeakCheck.of(workspace, allow_overlap)
        # One entry only: the matrix of a layer with a grid can be more than a gigabyte.
        self._read: tuple[object, Labelled] | None = None
        self._counts: TripletCounts | None = None

    def answers(self, folder: Path) -> _Answers:
        """One run's answers on the test split."""
        head, config = load_head(folder)
        labelled = self._labelled(config)
        overlap = self._check.overlap(folder, config, labelled)
        self.warned += [f"{folder.name}: {line}" for line in overlap.in_words()]
        features, triplets = labelled.matrix.features, labelled.table
        check_finite(features, triplets.rows)
        similarity = similarity_of(head, features, triplets.rows)
        check_logits(similarity)
        return _Answers(
            folder.name,
            triplets,
            row_labels(labelled, self._check.labels),
            np.array(labelled.matrix.face_ids, "S")[triplets.rows],
            triplet_credit(similarity, triplets.odd),
        )

    def _labelled(self, config: RunConfig) -> Labelled:
        """The test split on a run's caches; the last is kept, since seeds follow one another."""
        if self._read is None or self._read[0] != config.recipes:
            caches = caches_of_recipes(self._workspace.cache_dir, config.recipes)
            # Other caches of the same faces give the same messages: they are shown once.
            is_first = self._read is None
            reporter = self._reporter if is_first else SILENT
            labelled = load_labelled(self._workspace, "test", caches, 0.0, reporter)
            if is_first or labelled.counts != self._counts:
                warn_of_missing(labelled.counts, self._reporter)
            if not is_first and labelled.counts != self._counts:
                self._reporter.message(f"With {caches.names}: {labelled.counts.in_words()}")
            self._counts = labelled.counts
            self._read = config.recipes, labelled
        return self._read[1]


def _common(runs: list[_Answers]) -> list[npt.NDArray[np.bool_]]:
    """A mask per run of the triplets that all runs have features for: the same ones, in order."""
    shared = set.intersection(*(set(run.faces.ravel().tolist()) for run in runs))
    known = np.array(sorted(shared), runs[0].faces.dtype)
    return [np.asarray(np.isin(run.faces, known).all(axis=1), np.bool_) for run in runs]


def _signed(comparison: Comparison) -> str:
    error = "too few" if np.isnan(comparison.stderr) else f"+- {100 * comparison.stderr:.1f}"
    return f"{100 * comparison.difference:+.1f} {error}"
