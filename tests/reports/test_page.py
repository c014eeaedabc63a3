import base64
import dataclasses
import functools
import io
import math
import re
from concurrent.futures import ThreadPoolExecutor
from html import unescape

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

from fec_cache.cache.recipe import FeatureRecipe
from fec_cache.datasets.synthetic.emotions import EMOTIONS
from fec_cache.evaluation.compare import compare_by_type, compare_credits
from fec_cache.evaluation.face_map import map_faces
from fec_cache.evaluation.figures import GroupAccuracy
from fec_cache.evaluation.measures.bootstrap import FaceBootstrap
from fec_cache.evaluation.measures.metrics import triplet_credit
from fec_cache.evaluation.people import RowLabels
from fec_cache.evaluation.report import evaluate_head
from fec_cache.evaluation.seeds import credits_of, mean_over_seeds
from fec_cache.faces.crop import CropConfig
from fec_cache.heads.base import build_head
from fec_cache.heads.config import HeadConfig
from fec_cache.pairs.build import PAIRS_OF_TRIPLET, TripletTable
from fec_cache.pairs.config import PairConfig
from fec_cache.reports.page import ReportData, render_report
from fec_cache.reports.plots import jpeg_uri, percent, roc_points
from fec_cache.reports.truth_plots import confusion_plot, heatmap_plot
from fec_cache.runs.config import RunConfig
from fec_cache.training.config import TrainConfig
from fec_cache.training.fit import Epoch
from fec_cache.workflows.baseline import Baseline
from fec_cache.workflows.seed_group import Seed, SeedGroup

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


@pytest.fixture(scope="module")
def full():
    rng = np.random.default_rng(5)
    features = rng.normal(size=(NUM_FACES, WIDTH)).astype(np.float32)
    table = triplets(features, rng)
    heads = [build_head(HeadConfig(name), WIDTH) for name in ("embedding", "concat")]
    evaluations = [evaluate_head(head, features, table, draws=200) for head in heads]
    return ReportData(
        name="embedding-1",
        config=run_config(HeadConfig("embedding")),
        history=HISTORY,
        evaluation=evaluations[0],
        table=table,
        baseline=baseline_of(evaluations[0], evaluations[1], table),
        results=(),
        picture=noise,
        notes=("The faces are drawn.",),
    )


@pytest.fixture(scope="module")
def page(full):
    return render_report(full)


@pytest.fixture(scope="module")
def figures_only(full):
    return dataclasses.replace(full, history=(), table=None, picture=lambda row: None)


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


def test_table_shows_the_figures_of_the_records(page, full):
    pairs = full.evaluation.pairs
    tail = [percent(pairs.accuracy), percent(pairs.balanced_accuracy), f"{pairs.auc:.3f}"]
    assert table_row(page, "this head") == expected_cells(full.evaluation) + tail
    assert table_row(page, "original recipe")[:4] == expected_cells(full.baseline.evaluation)
    raters = [full.evaluation.groups[i].rater_accuracy for i in (3, 0, 1, 2)]
    assert table_row(page, "raters")[:4] == [percent(share) for share in raters]


def test_floor_stands_beside_pair_accuracy(page):
    assert table_row(page, "floor")[4:] == [f"66.7{THIN}%", f"50.0{THIN}%", "0.500"]
    assert f"always says “different” scores 66.7{THIN}%" in plain(section(page, "Pairs"))


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
        (math.nan, "the raters’ own accuracy is unknown, as no triplet has answers of two raters"),
    ],
)
def test_verdict_sets_the_head_beside_the_raters(figures_only, raters, words):
    data = with_overall(figures_only, accuracy=0.5, low=0.45, high=0.55, rater_accuracy=raters)
    assert verdict(render_report(data)).endswith(f"and {words}.")


def test_few_triplets_get_no_judgement(figures_only):
    data = with_overall(figures_only, num_triplets=4, accuracy=1.0, low=1.0, high=1.0)
    told = verdict(render_report(data))
    assert told.startswith("On only 4 test triplets, too few to judge it by")
    assert "above" not in told


def test_a_single_rater_leaves_dashes_and_the_reason(figures_only):
    groups = tuple(
        dataclasses.replace(group, rater_accuracy=math.nan)
        for group in figures_only.evaluation.groups
    )
    evaluation = dataclasses.replace(figures_only.evaluation, groups=groups)
    page = render_report(dataclasses.replace(figures_only, evaluation=evaluation))
    assert table_row(page, "raters") == ["–"] * 7
    assert "No triplet here has answers of two raters, hence the dashes." in page


def test_an_empty_type_is_left_out_and_named(figures_only):
    empty = GroupAccuracy("one-class", 0, math.nan, math.nan, math.nan, math.nan)
    evaluation = dataclasses.replace(
        figures_only.evaluation, groups=(empty, *figures_only.evaluation.groups[1:])
    )
    data = dataclasses.replace(figures_only, evaluation=evaluation, baseline=None)
    page = render_report(data)
    assert table_row(page, "this head")[:3] == [
        cell for place, cell in enumerate(expected_cells(evaluation)) if place != 1
    ]
    assert "Of one-class there is no triplet here." in plain(page)
    assert ">one-class<" not in page


def test_names_and_notes_are_escaped(full):
    evil = "<script>alert(1)</script>"
    data = dataclasses.replace(
        full,
        name=evil,
        notes=(evil,),
        results=({"head": evil, "val_triplet_accuracy": "0.5"}, {"head": "b", "error": evil}),
        config=dataclasses.replace(full.config, data={evil: evil}),
    )
    page = render_report(data)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 5


def test_notes_stand_on_top_as_warnings(page):
    assert '<p class="note" role="note"><b>Mind:</b> The faces are drawn.</p>' in page
    assert page.index("The faces are drawn.") < page.index("<section>")


def test_page_loads_nothing(page):
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert "@import" not in page
    sources = re.findall(r'\bsrc="([^"]*)', page)
    assert len(sources) > 30
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert all(target.startswith("#") for target in re.findall(r'href="([^"]*)', page))
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)", page))
    assert "default-src 'none'" in page


def test_ids_and_their_uses_match(page):
    ids = re.findall(r'\sid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', page)) <= {
        pair for name in ids for pair in ((name, ""), ("", name))
    }


def test_figures_take_their_colours_from_the_page(page):
    figures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(figures) == 6
    for figure in figures:
        assert set(re.findall(r"(?:fill|stroke): ([^;\"]*)", figure)) <= {
            "none",
            *(f"var(--{name})" for name in re.findall(r"--([a-z]+):", page)),
        }
        assert "font-family" not in figure


def test_pictures_and_figures_have_alternatives(page):
    assert all(' alt="Face in row ' in tag for tag in re.findall(r"<img[^>]*>", page))
    labels = re.findall(r'<div role="img" aria-label="([^"]*)">', page)
    assert len(labels) == 6
    assert all(len(label) > 40 for label in labels)


def test_same_data_same_page_even_at_once(page, full):
    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(render_report, [full, full])) == {page}


def test_page_stays_small_with_pictures_of_noise(page):
    assert len(page.encode()) < 1_500_000


def test_crops_become_small_jpegs():
    kind, code = jpeg_uri(np.full((224, 224, 3), (200, 30, 60), np.uint8)).split(",")
    image = Image.open(io.BytesIO(base64.b64decode(code)))
    assert (kind, image.format, image.size) == ("data:image/jpeg;base64", "JPEG", (112, 112))
    assert np.abs(np.asarray(image).astype(int) - (200, 30, 60)).max() < 5
    assert jpeg_uri(None) == ""


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


def test_a_head_without_mistakes_shows_none(full):
    similarity = np.eye(3, dtype=np.float32)[full.table.odd]
    evaluation = dataclasses.replace(full.evaluation, similarity=similarity)
    page = render_report(dataclasses.replace(full, evaluation=evaluation))
    assert "The head is wrong about no triplet." in page


def test_no_pictures_at_hand_is_one_sentence(full):
    page = render_report(dataclasses.replace(full, picture=lambda row: None))
    assert "pictures are not at hand" in section(page, "Faces")
    assert "<img" not in page


def test_single_missing_picture_leaves_a_named_gap(page, full):
    row = int(re.search(r"Face in row (\d+)", page)[1])
    data = dataclasses.replace(full, picture=lambda r: None if r == row else noise(r))
    assert f'aria-label="Face in row {row} of the feature matrix, picture not at hand"' in (
        render_report(data)
    )


def test_missing_parts_name_the_command_that_makes_them():
    data = ReportData("bare", run_config(), (), None, None, None, (), lambda row: None, ())
    page = render_report(data)
    assert "not been measured on the test split yet. fec evaluate does it." in verdict(page)
    assert "fec evaluate" in section(page, "Which face is the odd one?")
    assert "fec train-head" in section(page, "Learning")
    assert "fec evaluate" in section(page, "Pairs")
    assert "fec grid-search" in section(page, "Search")
    assert "fec evaluate" in section(page, "Faces")
    assert "<svg" not in page


def test_evaluation_without_triplets_shows_figures_only(figures_only):
    page = render_report(figures_only)
    assert table_row(page, "this head")[:4] == expected_cells(figures_only.evaluation)
    assert "the original recipe" in verdict(page)
    assert "test triplets are not at hand" in section(page, "Pairs")


def test_empty_test_split_is_said(figures_only):
    data = with_overall(
        figures_only, num_triplets=0, accuracy=math.nan, low=math.nan, high=math.nan
    )
    assert "There are no test triplets" in verdict(render_report(data))


def test_missing_original_recipe_is_said(figures_only):
    page = render_report(dataclasses.replace(figures_only, baseline=None))
    assert "is not at hand for comparison" in page
    original = dataclasses.replace(figures_only, baseline=None, config=run_config())
    assert "is not at hand for comparison" not in render_report(original)
    assert "the original recipe" in render_report(original)


def test_kept_epoch_is_the_first_of_the_best(page):
    assert "kept: epoch 2 of 5" in page
    assert f"best {0.52:.1%} at epoch 2" in page


def test_losses_of_different_kinds_are_not_set_side_by_side(full):
    config = run_config(train=TrainConfig(loss="triplet"))
    page = render_report(dataclasses.replace(full, config=config))
    assert "The two do not compare." in section(page, "Learning")


def test_a_single_epoch_is_drawn_at_a_whole_number(full):
    html = section(render_report(dataclasses.replace(full, history=HISTORY[:1])), "Learning")
    ticks = re.findall(r"<text[^>]*>([\d.]+)</text>", html.split("Triplet accuracy")[0])
    assert "1" in ticks
    assert "1.00" not in ticks


def test_search_shows_the_best_fifteen_and_what_varied(figures_only):
    results = [
        {
            "key": f"{rank:x}",
            "lr": str(10.0**-rank),
            "optimizer": "adam",
            "val_triplet_accuracy": str(0.6 - rank / 100),
            "val_loss": "0.51234",
            "best_epoch": "7",
            "stderr": "0.0123",
            "seeds": "3",
            "error": "",
        }
        for rank in range(17)
    ]
    results.append({**results[0], "key": "f", "val_triplet_accuracy": "nan", "error": "no memory"})
    html = section(
        render_report(dataclasses.replace(figures_only, results=tuple(results))), "Search"
    )
    rows = re.findall(r"<tr>(<td>.*?)</tr>", html, re.DOTALL)
    assert len(rows) == 15
    assert plain(rows[0]) == f"1 60.0{THIN}% 1.2{THIN}% 3 1.0 0.512 7"
    assert plain(rows[14]).startswith(f"15 46.0{THIN}% 1.2{THIN}% 3 1e-14")
    assert "The best 15 of 18 settings" in html
    assert "The same in all: optimizer adam." in html
    assert "1 failed, the first with: no memory" in html


def test_commands_name_what_is_not_at_its_default(figures_only):
    head = HeadConfig("symmetric", (2048, 128))
    train = TrainConfig(lr=3e-4, batch_size=1024)
    recipe = {"weights": "random:7:ab12", "store_dtype": "float32"}
    config = run_config(head, train, crop=CropConfig(margin=0.2), **recipe)
    page = plain(
        section(render_report(dataclasses.replace(figures_only, config=config)), "How it was made")
    )
    extract = "fec extract --backbone resnet18 --layer avgpool --weights random:7"
    assert f"{extract} --crop-margin 0.2 --store-dtype float32 --precision fp32 and" in page
    folder = config.recipe.folder_name
    options = "--head symmetric --hidden 2048-128 --lr 0.0003 --batch-size 1024"
    assert f"fec train-head --features {folder} {options} ;" in page


def test_data_stand_in_words(page):
    made = plain(section(page, "How it was made"))
    assert "rows rows 1,300, ties 7" in made
    assert "folder data" in made


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


def test_floor_and_ceiling_are_the_records_own(page, full):
    groups = [full.evaluation.groups[i] for i in (3, 0, 1, 2)]
    assert table_row(page, "floor")[:4] == [percent(group.floor) for group in groups]
    assert table_row(page, "ceiling")[:4] == [percent(group.ceiling) for group in groups]
    assert table_row(page, "ceiling")[4] == percent(full.evaluation.pairs.ceiling.accuracy)


@pytest.fixture(scope="module")
def with_people(full):
    rng = np.random.default_rng(3)
    features = rng.normal(size=(NUM_FACES, WIDTH)).astype(np.float32)
    head = build_head(HeadConfig("embedding"), WIDTH)
    labels = RowLabels(np.arange(NUM_FACES) // 3, np.arange(NUM_FACES) % 3, ("fear", "joy", "sad"))
    results = tuple(
        {
            "key": f"{n}",
            "lr": lr,
            "hidden": hidden,
            "val_triplet_accuracy": f"0.{50 + n}",
            "error": "",
        }
        for n, (lr, hidden) in enumerate((lr, h) for lr in ("1e-3", "1e-4") for h in ("16", "128"))
    )
    return dataclasses.replace(
        full,
        evaluation=evaluate_head(head, features, full.table, draws=50, labels=labels),
        face_map=map_faces(head, features, np.unique(full.table.rows)),
        words={row: labels.words[row % 3] for row in range(NUM_FACES)},
        results=results,
        extraction=(("resnet18-avgpool", "features of 50 faces, 2 failed (2 x no such file)"),),
    )


def test_map_shows_every_face_once_in_its_place(with_people):
    html = section(render_report(with_people), "The head’s space")
    dots = re.findall(
        r'style="left:([\d.]+)%;top:([\d.]+)%" aria-label="Face in row (\d+), (\w+)"', html
    )
    assert [int(row) for *_, row, _ in dots] == with_people.face_map.rows.tolist()
    for (left, top, row, word), (x, y) in zip(dots, with_people.face_map.places, strict=True):
        assert float(left) == pytest.approx(2 + 96 * x, abs=0.06)
        assert float(top) == pytest.approx(2 + 96 * (1 - y), abs=0.06)
        assert word == ("fear", "joy", "sad")[int(row) % 3]
    assert html.count("data:image/jpeg") == len(dots)
    assert "Words mixed up" in html


def test_map_is_the_principal_plane(with_people):
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(0)
    features = rng.normal(size=(30, 5)).astype(np.float32) * [5, 3, 1, 1, 1]
    head = build_head(HeadConfig("concat"), 5)
    found = map_faces(head, features.astype(np.float32), np.arange(30))
    wanted = PCA(2).fit(features)
    places = wanted.transform(features)
    for mine, theirs in zip(found.places.T, places.T, strict=True):
        assert abs(np.corrcoef(mine, theirs)[0, 1]) == pytest.approx(1.0, abs=1e-4)
    assert found.explained == pytest.approx(wanted.explained_variance_ratio_.sum(), abs=1e-4)
    assert not found.is_embedding
    assert (found.places.min(), found.places.max()) == (0.0, 1.0)
    assert map_faces(head, features.astype(np.float32), np.arange(2)) is None
    assert len(map_faces(head, features.astype(np.float32), np.arange(30), most=9).rows) == 9


def test_search_is_drawn_and_extraction_is_told(with_people):
    page = render_report(with_people)
    assert "from 50.0% to 53.0%" in page
    assert "features of 50 faces, 2 failed (2 x no such file)" in page
    single = heatmap_plot([{"lr": "1", "val_triplet_accuracy": "0.5"}], ["lr"])
    assert single is None
    assert heatmap_plot([], []) is None


@pytest.fixture(scope="module")
def seeds(full):
    rng = np.random.default_rng(5)
    features = rng.normal(size=(NUM_FACES, WIDTH)).astype(np.float32)
    found = [full.evaluation]
    for number in (1, 2):
        torch.manual_seed(number)
        head = build_head(HeadConfig("embedding"), WIDTH)
        found.append(evaluate_head(head, features, full.table, draws=50))
    histories = [HISTORY, HISTORY[:3], ()]
    runs = tuple(
        Seed(f"embedding-{number + 1}", number, *parts)
        for number, parts in enumerate(zip(found, histories, strict=True))
    )
    return SeedGroup(runs, mean_over_seeds(found, full.table, full.evaluation.units))


@pytest.fixture(scope="module")
def seeds_page(full, seeds):
    theirs = full.baseline.evaluation
    credits = tuple(credits_of([theirs], full.table))
    baseline = Baseline(("plain",), theirs, {}, features="resnet18:avgpool", credits=credits)
    baseline = baseline.beside(seeds.evaluations, full.table, full.evaluation.units)
    return render_report(dataclasses.replace(full, seeds=seeds, baseline=baseline))


def test_seeds_stand_together_as_one_recipe(seeds_page, seeds):
    assert "<h1>embedding</h1>" in seeds_page
    assert table_row(seeds_page, "this recipe")[:4] == expected_cells(seeds.mean)
    single = [one.overall.accuracy for one in seeds.evaluations]
    told = verdict(seeds_page)
    assert "this recipe, in the mean of 3 seeds, finds" in told
    assert f"in {percent(float(np.mean(single)))} of cases" in told
    assert f"single seeds {100 * min(single):.1f} to {percent(max(single))})" in told
    for seed in seeds.seeds:
        cells = table_row(seeds_page, seed.name)
        assert cells[0] == str(seed.number)
        assert cells[1] == percent(seed.validation)
        assert cells[2] == percent(seed.evaluation.overall.accuracy)
    assert table_row(seeds_page, "embedding-3")[1] == "–"
    assert "shows one of the seeds: embedding-1" in plain(seeds_page)


def test_seeds_are_compared_together_and_in_pairs(seeds_page, full, seeds):
    credits = [triplet_credit(e.similarity, full.table.odd) for e in seeds.evaluations]
    theirs = triplet_credit(full.baseline.evaluation.similarity, full.table.odd)
    wanted = compare_credits(credits, [theirs], FaceBootstrap(full.table.rows))
    table = seeds_page.split("Comparison table")[1]
    lead = f"{100 * wanted.difference:+.1f}{NBSP}±{NBSP}{100 * wanted.stderr:.1f}"
    assert table_row(table, "all")[0] == lead
    keys = plain(re.search(r'<ul class="keys">.*?</ul>', seeds_page, re.DOTALL)[0])
    assert lead in keys
    assert "on resnet18:avgpool" in keys
    assert "on resnet18:avgpool" in verdict(seeds_page)


def test_other_seeds_are_drawn_behind_the_one_that_is_shown(seeds_page, page):
    learning = [section(html, "Learning") for html in (seeds_page, page)]
    assert "the other seeds" in learning[0]
    assert "the other seeds" not in learning[1]
    # One more curve of accuracy and two of losses; the third seed has no history.
    curves = [html.count("stroke-opacity: 0.4") for html in learning]
    assert curves == [3, 0]


def test_map_colours_thirty_words_by_class(with_people):
    words = dict(zip(range(NUM_FACES), list(EMOTIONS) * 2, strict=False))
    data = dataclasses.replace(with_people, words=words)
    html = section(render_report(data), "The head’s space")
    legend = re.findall(r'<li><i class="dot (c\d+)"></i>([\w-]+)</li>', html)
    shown = {words[row] for row in data.face_map.rows.tolist()}
    assert sorted(name for _, name in legend) == sorted({EMOTIONS[w].emotion_class for w in shown})
    colour_of = {name: colour for colour, name in legend}
    for row, word in words.items():
        dot = re.search(rf'<button[^>]*class="dot (c\d+)[^>]*Face in row {row}, {word}"', html)
        assert dot is None or dot[1] == colour_of[EMOTIONS[word].emotion_class]


def test_many_words_get_a_wide_table_without_noughts():
    rng = np.random.default_rng(0)
    counts = rng.multinomial(20, np.full(20, 0.05), 20).tolist()
    wide = confusion_plot(counts, [f"word{n}" for n in range(20)]).svg
    few = confusion_plot([[9, 1], [0, 10]], ["joy", "fear"]).svg
    numbers = [int(text) for text in re.findall(r">(\d+)</text>", wide)]
    assert min(numbers) == 10
    assert len(numbers) == (np.array(counts) >= 2).sum()
    assert sorted(re.findall(r">(\d+)</text>", few)) == ["10", "100", "90"]
