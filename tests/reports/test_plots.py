import base64
import dataclasses
import io
import re

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from fec_cache.reports.page import render_report
from fec_cache.reports.plots import jpeg_uri, roc_points
from tests.reports.reading import (
    HISTORY,
    section,
)


def test_crops_become_small_jpegs():
    kind, code = jpeg_uri(np.full((224, 224, 3), (200, 30, 60), np.uint8)).split(",")
    image = Image.open(io.BytesIO(base64.b64decode(code)))
    assert (kind, image.format, image.size) == ("data:image/jpeg;base64", "JPEG", (112, 112))
    assert np.abs(np.asarray(image).astype(int) - (200, 30, 60)).max() < 5
    assert jpeg_uri(None) == ""


@pytest.mark.parametrize("digits", [1, 8])
def test_roc_points_enclose_the_auc(digits):
    """Few digits make ties, whose slope must count half."""
    rng = np.random.default_rng(1)
    is_similar = rng.random(900) < 0.3
    scores = np.round(rng.normal(size=900) + is_similar, digits)
    false_rate, true_rate = roc_points(scores, is_similar)
    area = float((np.diff(false_rate) * (true_rate[1:] + true_rate[:-1])).sum() / 2)
    assert area == pytest.approx(roc_auc_score(is_similar, scores), abs=0.003)
    assert (false_rate[0], true_rate[0], false_rate[-1], true_rate[-1]) == (0, 0, 1, 1)


def test_a_single_epoch_is_drawn_at_a_whole_number(full):
    html = section(render_report(dataclasses.replace(full, history=HISTORY[:1])), "Learning")
    ticks = re.findall(r"<text[^>]*>([\d.]+)</text>", html.split("Triplet accuracy")[0])
    assert "1" in ticks
    assert "1.00" not in ticks


def test_figures_take_their_colours_from_the_page(page):
    figures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(figures) == 6
    for figure in figures:
        assert set(re.findall(r"(?:fill|stroke): ([^;\"]*)", figure)) <= {
            "none",
            *(f"var(--{name})" for name in re.findall(r"--([a-z]+):", page)),
        }
        assert "font-family" not in figure


def test_other_seeds_are_drawn_behind_the_one_that_is_shown(seeds_page, page):
    learning = [section(html, "Learning") for html in (seeds_page, page)]
    assert "the other seeds" in learning[0]
    assert "the other seeds" not in learning[1]
    # One more curve of accuracy and two of losses; the third seed has no history.
    curves = [html.count("stroke-opacity: 0.4") for html in learning]
    assert curves == [3, 0]
