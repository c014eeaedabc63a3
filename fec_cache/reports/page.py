"""`ReportData` -> one self-contained HTML page."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2

from fec_cache.cache.recipe import FeatureRecipe
from fec_cache.datasets.synthetic.emotions import EMOTIONS
from fec_cache.evaluation.baseline import recipe_name
from fec_cache.faces.crop import CropConfig
from fec_cache.reports.data import ReportData
from fec_cache.reports.figures import draw_figures
from fec_cache.reports.gallery import (
    ShownPair,
    ShownTriplet,
    shown_pairs,
    shown_triplets,
)
from fec_cache.reports.plots import jpeg_uri
from fec_cache.reports.typography import NO_FIGURE, page_percent
from fec_cache.reports.verdict import (
    difference_interval,
    interval,
    key_figures,
    p_words,
    signed,
    verdict,
)
from fec_cache.runs.config import RunConfig
from fec_cache.search.results import FIGURES
from fec_cache.system.wording import counted

THUMBNAIL_SIZE = 56
NUM_COLOURS = 12


def render_report(data: ReportData) -> str:
    """Render one self-contained HTML page: no script, and nothing loaded from elsewhere.

    The same data give the same text, byte for byte.
    """
    evaluation, table = data.evaluation, data.table
    if evaluation is not None and not evaluation.overall.num_triplets:
        evaluation = None
    seeds = data.seeds if evaluation else None
    recipe = seeds.mean if seeds else evaluation
    # A face can be in several tiles: it is decoded and packed once.
    picture = functools.cache(lambda row: jpeg_uri(data.picture(row)))
    ends = shown_pairs(table, evaluation) if table and evaluation else ([], [])
    right, wrong = shown_triplets(table, evaluation) if table and evaluation else ((), ())
    search = _search_settings(data.results)
    template = _environment().get_template("report.html")
    return template.render(
        data=data,
        title=recipe_name([seed.name for seed in seeds.seeds]) if seeds else data.name,
        evaluation=evaluation,
        recipe=recipe,
        seeds=seeds,
        verdict=verdict(recipe, data.baseline, seeds, data.origin) if recipe else "",
        keys=key_figures(recipe, data.baseline, seeds, data.origin) if recipe else [],
        is_original=data.config.is_original,
        figures=draw_figures(data, evaluation, search[0]),
        kept=data.kept,
        search=search,
        commands=_commands(data.config),
        ends=ends,
        right=right,
        wrong=wrong,
        places=(places := _places(data)),
        map_words=sorted({(colour, name) for *_, colour, name in places if name}),
        thumbnail=functools.cache(lambda row: jpeg_uri(data.picture(row), THUMBNAIL_SIZE)),
        picture=picture,
        has_pictures=any(map(picture, _shown_rows(ends, (right, wrong)))),
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        # A misspelt name in the template fails, instead of leaving a silent gap in the page.
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=page_percent,
        counted=functools.partial(counted, form=","),
        interval=interval,
        signed=signed,
        p_words=p_words,
        difference_interval=difference_interval,
        plain=_plain,
        words=_words,
        cell=_cell,
    )
    return environment


def _shown_rows(
    pairs: Sequence[Sequence[ShownPair]], triplets: Sequence[Sequence[ShownTriplet]]
) -> list[int]:
    rows = [row for part in pairs for pair in part for row in pair.rows]
    return rows + [row for part in triplets for triplet in part for row in triplet.rows]


def _places(data: ReportData) -> list[tuple[int, str, str, str, int, str]]:
    """Faces on the map: row, left and top in percent, word, and colour with what it stands for.

    There are twelve colours. With more words than that, colours stand for emotion classes.
    """
    if data.face_map is None:
        return []
    rows = data.face_map.rows.tolist()
    named = {data.words[row] for row in rows if data.words.get(row)}
    groups = {word: word for word in named}
    if len(named) > NUM_COLOURS:
        groups = {word: EMOTIONS[word].emotion_class for word in named if word in EMOTIONS}
    colours = sorted(set(groups.values()))
    dots = []
    for row, (x, y) in zip(rows, data.face_map.places.tolist(), strict=True):
        word = data.words.get(row, "")
        group = groups.get(word, "")
        is_coloured = group and colours.index(group) < NUM_COLOURS
        colour = colours.index(group) if is_coloured else NUM_COLOURS
        shown = group if is_coloured else ""
        # A dot is 11 pixels wide: 2 % of the map as a margin keeps it inside the frame.
        left, top = (f"{2 + 96 * share:.1f}" for share in (x, 1 - y))
        dots.append((row, left, top, word, colour, shown))
    return dots


def _search_settings(results: tuple[dict[str, str], ...]) -> tuple[list[str], list[str]]:
    """Names of a search's settings: those that vary, and those that never do."""
    names = [name for name in (results or ({},))[0] if name not in {"key", *FIGURES}]
    varied = [name for name in names if len({row.get(name) for row in results}) > 1]
    return varied, [name for name in names if name not in varied and results[0][name]]


def _cell(text: str, name: str) -> str:
    forms = {
        "val_triplet_accuracy": page_percent,
        "stderr": page_percent,
        "val_loss": "{:.3f}".format,
    }
    try:
        return forms[name](float(text))
    except (KeyError, ValueError):
        return text or NO_FIGURE


def _commands(config: RunConfig) -> tuple[str, str]:
    """The commands of both stages, with every option that is not at its default."""
    extract = " and ".join(dict.fromkeys(map(_extract_command, config.recipes)))
    names = ",".join(recipe.folder_name for recipe in config.recipes)
    train = [f"fec train-head --features {names}"]
    for ours in (config.head, config.train, config.pairs):
        for name, default in dataclasses.asdict(type(ours)()).items():
            if name != "blocks" and (value := getattr(ours, name)) != default:
                # `_plain` would put commas into counts, which the command line does not read.
                text = _plain(value) if isinstance(value, tuple) else value
                train.append(f"--{name.replace('_', '-')} {text}")
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
    """A setting or count as text: layers as `512-128`, nested counts as a list."""
    if isinstance(value, Mapping):
        return ", ".join(f"{_words(str(name))} {_plain(part)}" for name, part in value.items())
    if isinstance(value, (list, tuple)):
        return "-".join(str(part) for part in value) or "none"
    return f"{value:,}" if type(value) is int else str(value)


def _words(name: str) -> str:
    return name.removeprefix("num_").replace("val_", "validation_").replace("_", " ")
