"""A run and its figures -> one HTML page that needs nothing but itself."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import numpy as np
import numpy.typing as npt

from fec_cache.config import CropConfig, FeatureRecipe
from fec_cache.evaluation.face_map import FaceMap
from fec_cache.evaluation.report import Evaluation, GroupAccuracy
from fec_cache.heads.run_config import RunConfig
from fec_cache.heads.train import Epoch
from fec_cache.pairs.build import TripletTable
from fec_cache.search.results import FIGURES
from fec_cache.surfaces.baseline import Baseline
from fec_cache.surfaces.plots import NO_FIGURE, THIN_SPACE, jpeg_uri, kept_epoch, percent
from fec_cache.surfaces.report_figures import draw_figures
from fec_cache.surfaces.report_gallery import (
    ShownPair,
    ShownTriplet,
    shown_pairs,
    shown_triplets,
)

# A bootstrap of a handful of triplets is far too sure of itself: all right by luck has no spread.
ENOUGH_TRIPLETS = 30
THUMBNAIL_SIZE = 56
NUM_COLOURS = 8
_INTERVAL = f"95{THIN_SPACE}% interval"
# What tells a report of ours from any other file; it stands in the head of the page.
MARKER = '<meta name="generator" content="fec report">'
Picture = Callable[[int], npt.NDArray[np.uint8] | None]


@dataclass(frozen=True)
class ReportData:
    """What a report is made of; parts that are not at hand are None or empty.

    `evaluation` is on the test split and `table` holds its triplets; `results` are the rows of a
    search's `results.csv`, best first. `picture` gives the face crop [S, S, 3] uint8 RGB of a row
    of the feature matrix, or None. `notes` are warnings, shown on top. `face_map` places test
    faces, `words` names the expression of rows where it is known, and `extraction` tells what
    became of the faces: name and text.
    """

    name: str
    config: RunConfig
    history: tuple[Epoch, ...]
    evaluation: Evaluation | None
    table: TripletTable | None
    baseline: Baseline | None
    results: tuple[dict[str, str], ...]
    picture: Picture
    notes: tuple[str, ...]
    face_map: FaceMap | None = None
    words: Mapping[int, str] = field(default_factory=dict)
    extraction: tuple[tuple[str, str], ...] = ()


def render_report(data: ReportData) -> str:
    """One self-contained HTML page: no script, and nothing to load from anywhere.

    The same data give the same text.
    """
    evaluation, table = data.evaluation, data.table
    if evaluation is not None and not evaluation.overall.num_triplets:
        evaluation = None
    other = data.baseline.evaluation if data.baseline else None
    picture = functools.cache(lambda row: jpeg_uri(data.picture(row)))
    ends = shown_pairs(table, evaluation) if table and evaluation else ([], [])
    right, wrong = shown_triplets(table, evaluation) if table and evaluation else ((), ())
    search = _search_settings(data.results)
    return (
        _environment()
        .get_template("report.html")
        .render(
            data=data,
            evaluation=evaluation,
            verdict=_verdict(data, evaluation) if evaluation else "",
            is_original=data.config.is_original,
            figures=draw_figures(data.history, evaluation, table, other, data.results, search[0]),
            kept=kept_epoch(data.history),
            search=search,
            commands=_commands(data.config),
            ends=ends,
            right=right,
            wrong=wrong,
            places=(places := _places(data)),
            map_words=sorted({word for *_, word, _ in places if word}),
            thumbnail=functools.cache(lambda row: jpeg_uri(data.picture(row), THUMBNAIL_SIZE)),
            picture=picture,
            has_pictures=any(map(picture, _shown_rows(ends, (right, wrong)))),
        )
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=percent, interval=_interval, plain=_plain, words=_words, cell=_cell
    )
    return environment


def _shown_rows(
    pairs: Sequence[Sequence[ShownPair]], triplets: Sequence[Sequence[ShownTriplet]]
) -> list[int]:
    rows = [row for part in pairs for pair in part for row in pair.rows]
    return rows + [row for part in triplets for triplet in part for row in triplet.rows]


def _places(data: ReportData) -> list[tuple[int, str, str, str, int]]:
    """Row, left and top in percent, word and the word's colour of each face on the map."""
    if data.face_map is None:
        return []
    rows = data.face_map.rows.tolist()
    words = sorted({data.words[row] for row in rows if data.words.get(row)})
    return [
        (
            row,
            f"{100 * x:.1f}",
            f"{100 * (1 - y):.1f}",
            data.words.get(row, ""),
            words.index(data.words[row]) % NUM_COLOURS if data.words.get(row) else NUM_COLOURS,
        )
        for row, (x, y) in zip(rows, data.face_map.places.tolist(), strict=True)
    ]


def _verdict(data: ReportData, evaluation: Evaluation) -> str:
    group = evaluation.overall
    if group.num_triplets < ENOUGH_TRIPLETS:
        return (
            f"On only {group.num_triplets} test triplets, too few to judge it by, this head finds "
            f"the face that the raters set apart in {percent(group.accuracy)} of cases; chance is "
            f"{percent(evaluation.chance)}."
        )
    clauses = [_beside_chance(group, evaluation.chance)]
    if data.baseline is not None:
        clauses.append(_beside_baseline(data.baseline))
    clauses.append(_beside_raters(group))
    return (
        f"On {group.num_triplets:,} test triplets this head finds the face that the raters set "
        f"apart in {percent(group.accuracy)} of cases ({_INTERVAL} {_interval(group)}): "
        f"{', '.join(clauses[:-1])}, and {clauses[-1]}."
    )


def _beside_chance(group: GroupAccuracy, chance: float) -> str:
    outside = "above" if group.low > chance else "below" if group.high < chance else ""
    return f"{outside or 'not distinguishable from'} chance ({percent(chance)})"


def _beside_baseline(baseline: Baseline) -> str:
    # Both heads answer the same triplets: the interval of the difference is the honest one, since
    # two overlapping intervals can hide a difference that is certain.
    found = baseline.comparison
    told = f"the {baseline.name} ({percent(found.accuracy_b)}"
    if math.isnan(found.low):
        return f"beside {told})"
    told += (
        f"; {_INTERVAL} of the difference {100 * found.low:+.1f} to {100 * found.high:+.1f} points)"
    )
    if found.low <= 0.0 <= found.high:
        return f"not distinguishable from {told}"
    return f"{_points(found.difference)} {'above' if found.difference > 0 else 'below'} {told}"


def _beside_raters(group: GroupAccuracy) -> str:
    raters = group.rater_accuracy
    if math.isnan(raters):
        return "the raters’ own accuracy is unknown, as no triplet has answers of two raters"
    if group.low <= raters <= group.high:
        return f"not distinguishable from a single rater ({percent(raters)})"
    side = "below" if group.accuracy < raters else "above"
    return f"{_points(group.accuracy - raters)} {side} a single rater ({percent(raters)})"


def _search_settings(results: tuple[dict[str, str], ...]) -> tuple[list[str], list[str]]:
    """Names of a search's settings: those that vary, and those that are the same in all points."""
    names = [name for name in (results or ({},))[0] if name not in {"key", *FIGURES}]
    varied = [name for name in names if len({row.get(name) for row in results}) > 1]
    return varied, [name for name in names if name not in varied and results[0][name]]


def _cell(text: str, name: str) -> str:
    forms = {"val_triplet_accuracy": percent, "stderr": percent, "val_loss": "{:.3f}".format}
    try:
        return forms[name](float(text))
    except (KeyError, ValueError):
        return text or NO_FIGURE


def _commands(config: RunConfig) -> tuple[str, str]:
    """The commands of both stages, with the options that are not at their defaults."""
    extract = " and ".join(dict.fromkeys(map(_extract_command, config.recipes)))
    names = ",".join(recipe.folder_name for recipe in config.recipes)
    train = [f"fec train-head --features {names}"]
    for ours in (config.head, config.train, config.pairs):
        for name, default in dataclasses.asdict(type(ours)()).items():
            if name != "blocks" and (value := getattr(ours, name)) != default:
                # Counts as they are typed: without the commas of `_plain`.
                told = _plain(value) if isinstance(value, tuple) else value
                train.append(f"--{name.replace('_', '-')} {told}")
    return extract, " ".join(train)


def _extract_command(recipe: FeatureRecipe) -> str:
    words = [f"fec extract --backbone {recipe.backbone} --layer {recipe.layer}"]
    if recipe.has_random_weights:
        words.append(f"--weights {recipe.weights_label}")
    if recipe.crop.margin != CropConfig.margin:
        words.append(f"--crop-margin {recipe.crop.margin}")
    if recipe.store_dtype != FeatureRecipe.store_dtype:
        words.append(f"--store-dtype {recipe.store_dtype}")
    if recipe.crop.decode != CropConfig.decode:
        words.append(f"--decode {recipe.crop.decode}")
    words.append(f"--precision {recipe.precision}" + " --flip" * recipe.flip)
    return " ".join(words)


def _plain(value: object) -> str:
    """A setting or count in words: layers as `512-128`, nested counts as a list."""
    if isinstance(value, Mapping):
        return ", ".join(f"{_words(str(name))} {_plain(part)}" for name, part in value.items())
    if isinstance(value, (list, tuple)):
        return "-".join(str(part) for part in value) or "none"
    return f"{value:,}" if type(value) is int else str(value)


def _words(name: str) -> str:
    return name.removeprefix("num_").replace("val_", "validation_").replace("_", " ")


def _interval(group: GroupAccuracy) -> str:
    return "too few" if math.isnan(group.low) else f"{100 * group.low:.1f} to {percent(group.high)}"


def _points(difference: float) -> str:
    return f"{100 * abs(difference):.1f} points"
