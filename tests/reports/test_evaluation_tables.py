"""An evaluation as tables and lines of text, cell by cell from its records."""

import dataclasses
import math

from fec_cache.datasets.origin import LABELS, RATERS
from fec_cache.evaluation.measures.bootstrap import Interval
from fec_cache.evaluation.measures.neighbours import Neighbours
from fec_cache.evaluation.people import IdentityFigures, IdentityGroup
from fec_cache.reports.evaluation_tables import (
    identity_lines,
    markdown_table,
    pair_markdown,
    pair_rows,
    triplet_markdown,
    triplet_rows,
)
from fec_cache.system.wording import percent


def test_each_type_has_its_figures_next_to_the_original_recipe(full):
    ours, theirs = full.evaluation, full.baseline.evaluation
    rows = triplet_rows(ours, theirs, RATERS)
    assert [row[0] for row in rows[:4]] == [group.name for group in ours.groups]
    assert rows[-1][0] == "mean of types"
    for row, group, other in zip(rows, ours.groups, theirs.groups, strict=False):
        assert row[1:] == [
            str(group.num_triplets),
            "33.3 %",
            percent(group.floor),
            percent(other.accuracy),
            percent(group.accuracy),
            f"{100 * group.low:.1f} to {100 * group.high:.1f}",
            percent(group.rater_accuracy),
            percent(group.ceiling),
        ]
    assert rows[-1][5] == percent(ours.macro.value)


def test_labels_have_neither_raters_nor_a_ceiling(full):
    rows = triplet_rows(full.evaluation, None, LABELS)
    assert {len(row) for row in rows} == {7}
    assert all(row[4] == "-" for row in rows)
    assert "ceiling" not in triplet_markdown(full.evaluation, None, LABELS)


def test_too_few_triplets_have_no_interval(full):
    group = full.evaluation.groups[0]
    few = dataclasses.replace(group, num_triplets=3, low=math.nan, high=math.nan)
    none = dataclasses.replace(few, num_triplets=0, accuracy=math.nan)
    evaluation = dataclasses.replace(
        full.evaluation, groups=(few, none, *full.evaluation.groups[2:])
    )
    first, second = triplet_rows(evaluation, None, RATERS)[:2]
    assert first[6] == "too few"
    assert second[5:7] == ["-", "-"]


def test_pairs_stand_beside_the_constant_answer(full):
    pairs = full.evaluation.pairs
    rows = {row[0]: row[1:] for row in pair_rows(pairs, None)}
    assert rows["accuracy"][:3] == ["66.7 %", "-", percent(pairs.accuracy)]
    assert rows["balanced accuracy"][0] == "50.0 %"
    assert rows["AUC"][2] == f"{pairs.auc:.3f}"
    assert rows["average precision"][0] == "0.333"
    assert rows["calibration error"] == ["0.000", "-", f"{pairs.calibration_error:.3f}", "0.000"]
    other = full.baseline.evaluation.pairs
    assert {row[0]: row[2] for row in pair_rows(pairs, other)}["AUC"] == f"{other.auc:.3f}"


def test_markdown_aligns_the_first_column_left():
    assert markdown_table(["a", "b", "c"], [["x", "1", "2"]]) == (
        "| a | b | c |\n| --- | ---: | ---: |\n| x | 1 | 2 |"
    )


def test_markdown_holds_the_rows(full):
    lines = triplet_markdown(full.evaluation, None, RATERS).splitlines()
    assert lines[0].endswith("| rater | ceiling |")
    assert lines[2:] == [
        f"| {' | '.join(row)} |" for row in triplet_rows(full.evaluation, None, RATERS)
    ]
    assert len(pair_markdown(full.evaluation, None).splitlines()) == 8


FIGURES = IdentityFigures(
    groups=(
        IdentityGroup("same person is the similar pair", 13, Interval(0.7, 0.5, 0.9, 0.1)),
        IdentityGroup("same person is a different pair", 0, Interval(math.nan, 0.0, 0.0, 0.0)),
        IdentityGroup("three people", 142, Interval(0.3, 0.2, 0.4, 0.1)),
    ),
    gap=0.061,
    num_same_person_pairs=32,
    num_different_person_pairs=490,
    same_person=0.484,
    different_person=0.499,
    neighbours=Neighbours(60, 60, 0.117, 0.085, 60, {1: 0.017, 5: 0.027}, 0.035),
)


def test_people_have_three_kinds_of_figures():
    assert identity_lines(FIGURES) == [
        "By person, triplet accuracy (number): same person is the similar pair 70.0 % (13), three "
        "people 30.0 % (142); gap 6.1 points; 0 if the head ignores identity.",
        "Pairs, balanced accuracy: same person 48.4 % (32), different people 49.9 % (490).",
        "Nearest face is the same person: 11.7 % of 60 faces (chance 8.5 %).",
        "Same expression among the nearest faces of other people, precision at 1: 1.7 %, 5: 2.7 % "
        "(chance 3.5 %; 60 faces).",
    ]


def test_unknown_people_have_no_lines():
    unknown = dataclasses.replace(
        FIGURES, groups=(), gap=math.nan, same_person=math.nan, neighbours=None
    )
    assert identity_lines(unknown) == []
