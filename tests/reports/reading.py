"""A run with known figures, and how a rendered page is read, for the tests of reports."""

import dataclasses
import functools
import re
from html import unescape

import numpy as np

from fec_cache.cache.recipe import FeatureRecipe
from fec_cache.evaluation.baseline import Baseline
from fec_cache.evaluation.compare import compare_by_type
from fec_cache.faces.crop import CropConfig
from fec_cache.heads.config import HeadConfig
from fec_cache.pairs.build import PAIRS_OF_TRIPLET, TripletTable
from fec_cache.pairs.config import PairConfig
from fec_cache.pairs.credit import triplet_credit
from fec_cache.reports.typography import page_percent as percent
from fec_cache.runs.config import RunConfig
from fec_cache.training.config import TrainConfig
from fec_cache.training.history import Epoch

NUM_FACES, NUM_TRIPLETS, WIDTH = 50, 240, 8
THIN = "\N{NARROW NO-BREAK SPACE}"
NBSP = "\N{NO-BREAK SPACE}"
RECIPE = FeatureRecipe(
    backbone="resnet18",
    weights="sha256:" + "f3" * 32,
    layer="avgpool",
    shape=(WIDTH,),
    crop=CropConfig(),
    mean=(0.5, 0.5, 0.5),
    std=(0.2, 0.2, 0.2),
)
HISTORY = tuple(
    Epoch(number, 0.7 - number / 50, 0.6, accuracy, 0.5)
    for number, accuracy in enumerate((0.4, 0.52, 0.48, 0.52, 0.5), start=1)
)


@functools.cache
def noise(row):
    return np.random.default_rng(row).integers(0, 256, (224, 224, 3), dtype=np.uint8)


def run_config(head=None, train=None, **recipe):
    return RunConfig(
        (dataclasses.replace(RECIPE, **recipe),),
        head or HeadConfig(),
        train or TrainConfig(),
        PairConfig(),
        {"folder": "data", "rows": {"num_rows": 1300, "num_ties": 7}},
    )


def triplets(features, rng):
    rows = np.stack([rng.choice(NUM_FACES, 3, replace=False) for _ in range(NUM_TRIPLETS)])
    pairs = np.array(PAIRS_OF_TRIPLET)
    faces = features[rows]
    distances = np.linalg.norm(faces[:, pairs[:, 0]] - faces[:, pairs[:, 1]], axis=2)
    odd = distances.argmin(axis=1)
    votes = np.eye(3, dtype=np.int64)[odd] * 4 + np.eye(3, dtype=np.int64)[(odd + 1) % 3]
    return TripletTable(rows, odd, rng.integers(0, 3, NUM_TRIPLETS), votes)


def baseline_of(ours, theirs, table):
    credits = [[triplet_credit(e.similarity, table.odd)] for e in (ours, theirs)]
    found = compare_by_type(*credits, table.types, table.rows)
    return Baseline(("plain",), theirs, found)


def with_overall(data, **fields):
    groups = data.evaluation.groups
    overall = dataclasses.replace(groups[-1], **fields)
    evaluation = dataclasses.replace(data.evaluation, groups=(*groups[:-1], overall))
    return dataclasses.replace(data, evaluation=evaluation)


def plain(html):
    # Not `split()`: that would take the thin spaces for gaps between words.
    return re.sub(r"[ \n]+", " ", re.sub(r"<[^>]*>", " ", html)).strip(" ")


def verdict(page):
    return unescape(plain(re.search(r'<p class="verdict.*?</p>', page, re.DOTALL)[0]))


def table_row(page, name):
    body = re.search(rf'<th scope="row">{name}.*?</tr>', page, re.DOTALL)[0]
    return [plain(cell) for cell in re.findall(r"<td>.*?</td>", body, re.DOTALL)]


def section(page, heading):
    return page.split(f"<h2>{heading}</h2>")[1].split("</section>")[0]


def shown_pairs(html):
    found = re.findall(r"<li>(.*?)</li>", html, re.DOTALL)
    return [
        (frozenset(map(int, re.findall(r"Face in row (\d+)", tile))), plain(tile)) for tile in found
    ]


def expected_cells(evaluation):
    groups = (evaluation.groups[-1], *evaluation.groups[:-1])
    return [f"{percent(g.accuracy)} {100 * g.low:.1f} to {100 * g.high:.1f}{THIN}%" for g in groups]
