import dataclasses
import math

import pytest

from fec_cache.evaluation.compare import compare_credits
from fec_cache.evaluation.measures.bootstrap import FaceBootstrap
from fec_cache.pairs.credit import triplet_credit
from fec_cache.reports.page import render_report
from fec_cache.reports.typography import page_percent as percent
from tests.reports.reading import NBSP, THIN, baseline_of, section, table_row, verdict, with_overall


def test_verdict_names_accuracy_interval_and_triplets(page, full):
    overall = full.evaluation.overall
    told = verdict(page)
    assert told.startswith("On 240 test triplets")
    assert f"in {percent(overall.accuracy)} of cases (95{THIN}% interval" in told
    assert f"interval {100 * overall.low:.1f} to {percent(overall.high)})" in told


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.40, 0.50, "above chance"),
        (0.30, 0.50, "not distinguishable from chance"),
        (0.20, 0.30, "below chance"),
    ],
)
def test_verdict_goes_by_the_interval(figures_only, low, high, words):
    data = with_overall(figures_only, accuracy=(low + high) / 2, low=low, high=high)
    assert f": {words} (33.3{THIN}%)" in verdict(render_report(data))


def test_verdict_tests_the_difference_to_the_original_recipe_in_pairs(page, full):
    ours, theirs = (
        triplet_credit(e.similarity, full.table.odd)
        for e in (full.evaluation, full.baseline.evaluation)
    )
    found = compare_credits([ours], [theirs], FaceBootstrap(full.table.rows))
    side = "better" if found.difference > 0 else "worse"
    lead = f"{100 * abs(found.difference):.1f}{NBSP}±{NBSP}{100 * found.stderr:.1f} points"
    told = "p < 0.001" if found.p_value < 0.001 else f"p = {found.p_value:.2g}"
    if found.low <= 0 <= found.high:
        words = f"not distinguishable from the original recipe ({percent(found.accuracy_b)}"
    else:
        words = f"{side} by {lead} ({told.replace(' ', NBSP)}) than the original recipe"
    assert words in verdict(page)
    row = table_row(section(page, "Which face is the odd one?").split("Comparison table")[1], "all")
    assert row[1] == f"{100 * found.low:+.1f} to {100 * found.high:+.1f}"
    assert row[3:5] == [percent(found.accuracy_a), percent(found.accuracy_b)]


def test_verdict_sees_no_difference_between_a_head_and_itself(full):
    baseline = baseline_of(full.evaluation, full.evaluation, full.table)
    told = verdict(render_report(dataclasses.replace(full, baseline=baseline)))
    assert "not distinguishable from the original recipe" in told


@pytest.mark.parametrize(
    ("raters", "words"),
    [
        (0.9, f"40.0 points below a single rater (90.0{THIN}%)"),
        (0.5, f"not distinguishable from a single rater (50.0{THIN}%)"),
        (
            math.nan,
            "the raters’ own accuracy is unknown, as no triplet has answers from two raters",
        ),
    ],
)
def test_verdict_sets_the_head_beside_the_raters(figures_only, raters, words):
    data = with_overall(figures_only, accuracy=0.5, low=0.45, high=0.55, rater_accuracy=raters)
    assert verdict(render_report(data)).endswith(f"and {words}.")


def test_few_triplets_get_no_judgement(figures_only):
    data = with_overall(figures_only, num_triplets=4, accuracy=1.0, low=1.0, high=1.0)
    told = verdict(render_report(data))
    assert told.startswith("On only 4 test triplets, too few for a verdict")
    assert "above" not in told
