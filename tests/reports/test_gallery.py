import dataclasses
import re

import numpy as np

from fec_cache.evaluation.report import evaluate_head
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head
from fec_cache.pairs.build import PAIRS_OF_TRIPLET, TripletTable
from fec_cache.reports.data import ReportData
from fec_cache.reports.page import render_report
from fec_cache.reports.typography import page_percent as percent
from tests.reports.reading import NUM_TRIPLETS, noise, plain, run_config, section, shown_pairs


def test_pairs_shown_are_the_first_and_last_by_probability(page, full):
    best = {}
    for t, places in ((t, p) for t in range(NUM_TRIPLETS) for p in range(3)):
        i, j = PAIRS_OF_TRIPLET[places]
        pair = frozenset((int(full.table.rows[t, i]), int(full.table.rows[t, j])))
        best[pair] = float(full.evaluation.probability[t, places])
    ordered = sorted(best.items(), key=lambda item: -item[1])
    html = section(page, "Faces")
    most, rest = html.split("The least similar pairs")
    least = rest.split("Confidently right")[0]
    assert [faces for faces, _ in shown_pairs(most)] == [pair for pair, _ in ordered[:8]]
    assert [faces for faces, _ in shown_pairs(least)] == [pair for pair, _ in ordered[:-9:-1]]
    for (_, told), (_, probability) in zip(shown_pairs(most), ordered[:8], strict=True):
        assert told.startswith(f"{percent(probability)} raters: ")


def test_pairs_tell_what_the_raters_said():
    """Faces 0 and 1 are similar in one triplet and different in the other."""
    table = TripletTable(
        rows=np.array([[0, 1, 2], [1, 0, 3]]),
        odd=np.array([2, 0]),
        types=np.array([0, 1]),
        votes=np.array([[0, 1, 5], [4, 2, 0]]),
    )
    features = np.eye(4, dtype=np.float32)
    features[1] = features[0] + 0.01
    evaluation = evaluate_head(build_head(HeadConfig("embedding"), 4), features, table, draws=20)
    data = ReportData(
        "few", run_config(), (), evaluation, table, None, (), lambda row: noise(row), ()
    )
    html = section(render_report(data), "Faces")
    faces, told = shown_pairs(html)[0]
    assert faces == {0, 1}
    assert told.endswith("raters: similar in 1 of 2")
    wrong = html.split("Confidently wrong")[1]
    votes = re.findall(r'<div class="face">(.*?)</div>', wrong, re.DOTALL)
    assert [plain(face) for face in votes] == [
        "4 of 6 votes raters: odd",
        "2 of 6 votes",
        "0 of 6 votes head: odd",
    ]


def test_wrong_triplets_are_the_most_confident_ones(page, full):
    similarity, odd = full.evaluation.similarity, full.table.odd
    margins = [float(s.max() - s[o]) for s, o in zip(similarity, odd, strict=True)]
    worst = sorted(range(NUM_TRIPLETS), key=lambda t: -margins[t])[:6]
    html = section(page, "Faces").split("Confidently wrong")[1]
    tiles = re.findall(r"<li>(.*?)</li>", html, re.DOTALL)
    shown = [list(map(int, re.findall(r"Face in row (\d+)", tile))) for tile in tiles]
    assert shown == [full.table.rows[t].tolist() for t in worst]


def test_right_triplets_are_the_most_confident_ones(page, full):
    similarity, odd = full.evaluation.similarity, full.table.odd
    margins = []
    for s, o in zip(similarity.tolist(), odd.tolist(), strict=True):
        margins.append(s[o] - max(value for place, value in enumerate(s) if place != o))
    best = sorted(range(NUM_TRIPLETS), key=lambda t: -margins[t])[:6]
    html = section(page, "Faces").split("Confidently right")[1].split("Confidently wrong")[0]
    tiles = re.findall(r"<li>(.*?)</li>", html, re.DOTALL)
    shown = [list(map(int, re.findall(r"Face in row (\d+)", tile))) for tile in tiles]
    assert shown == [full.table.rows[t].tolist() for t in best]


def test_a_head_without_mistakes_shows_none(full):
    similarity = np.eye(3, dtype=np.float32)[full.table.odd]
    evaluation = dataclasses.replace(full.evaluation, similarity=similarity)
    page = render_report(dataclasses.replace(full, evaluation=evaluation))
    assert "The head is wrong about none of the triplets." in page
