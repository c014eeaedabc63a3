import dataclasses
import math
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fec_cache.datasets.synthetic.emotions import EMOTIONS
from fec_cache.evaluation.compare import compare_credits
from fec_cache.evaluation.figures import GroupAccuracy
from fec_cache.evaluation.measures.bootstrap import FaceBootstrap
from fec_cache.faces.crop import CropConfig
from fec_cache.heads.config import HeadConfig
from fec_cache.pairs.credit import triplet_credit
from fec_cache.reports.data import ReportData
from fec_cache.reports.page import render_report
from fec_cache.reports.truth_plots import heatmap_plot
from fec_cache.reports.typography import page_percent as percent
from fec_cache.training.config import TrainConfig
from tests.reports.reading import (
    NBSP,
    NUM_FACES,
    THIN,
    expected_cells,
    noise,
    plain,
    run_config,
    section,
    table_row,
    verdict,
    with_overall,
)


def test_table_shows_the_figures_of_the_records(page, full):
    pairs = full.evaluation.pairs
    tail = [percent(pairs.accuracy), percent(pairs.balanced_accuracy), f"{pairs.auc:.3f}"]
    assert table_row(page, "this head") == expected_cells(full.evaluation) + tail
    assert table_row(page, "original recipe")[:4] == expected_cells(full.baseline.evaluation)
    raters = [full.evaluation.groups[i].rater_accuracy for i in (3, 0, 1, 2)]
    assert table_row(page, "raters")[:4] == [percent(share) for share in raters]


def test_floor_stands_beside_pair_accuracy(page):
    assert table_row(page, "floor")[4:] == [f"66.7{THIN}%", f"50.0{THIN}%", "0.500"]
    assert f"Always answering “different” scores 66.7{THIN}%" in plain(section(page, "Pairs"))


def test_a_single_rater_leaves_dashes_and_the_reason(figures_only):
    groups = tuple(
        dataclasses.replace(group, rater_accuracy=math.nan)
        for group in figures_only.evaluation.groups
    )
    evaluation = dataclasses.replace(figures_only.evaluation, groups=groups)
    page = render_report(dataclasses.replace(figures_only, evaluation=evaluation))
    assert table_row(page, "raters") == ["–"] * 7
    assert "No triplet here has answers from two raters, hence the dashes." in page


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
    assert "No triplet here is one-class." in plain(page)
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
    assert '<p class="note" role="note"><b>Note:</b> The faces are drawn.</p>' in page
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


def test_no_pictures_at_hand_is_one_sentence(full):
    page = render_report(dataclasses.replace(full, picture=lambda row: None))
    assert "pictures of the faces are not available" in section(page, "Faces")
    assert "<img" not in page


def test_single_missing_picture_leaves_a_named_gap(page, full):
    row = int(re.search(r"Face in row (\d+)", page)[1])
    data = dataclasses.replace(full, picture=lambda r: None if r == row else noise(r))
    assert f'aria-label="Face in row {row} of the feature matrix, picture not available"' in (
        render_report(data)
    )


def test_missing_parts_name_the_command_that_makes_them():
    data = ReportData("bare", run_config(), (), None, None, None, (), lambda row: None, ())
    page = render_report(data)
    assert "not been measured on the test split yet. Run fec evaluate ." in verdict(page)
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
    assert "test triplets are not available" in section(page, "Pairs")


def test_empty_test_split_is_said(figures_only):
    data = with_overall(
        figures_only, num_triplets=0, accuracy=math.nan, low=math.nan, high=math.nan
    )
    assert "There are no test triplets" in verdict(render_report(data))


def test_missing_original_recipe_is_said(figures_only):
    page = render_report(dataclasses.replace(figures_only, baseline=None))
    assert "has no run here to compare with" in page
    original = dataclasses.replace(figures_only, baseline=None, config=run_config())
    assert "has no run here to compare with" not in render_report(original)
    assert "the original recipe" in render_report(original)


def test_losses_of_different_kinds_are_not_set_side_by_side(full):
    config = run_config(train=TrainConfig(loss="triplet"))
    page = render_report(dataclasses.replace(full, config=config))
    assert "The two are not comparable." in section(page, "Learning")


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


def test_floor_and_ceiling_are_the_records_own(page, full):
    groups = [full.evaluation.groups[i] for i in (3, 0, 1, 2)]
    assert table_row(page, "floor")[:4] == [percent(group.floor) for group in groups]
    assert table_row(page, "ceiling")[:4] == [percent(group.ceiling) for group in groups]
    assert table_row(page, "ceiling")[4] == percent(full.evaluation.pairs.ceiling.accuracy)


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


def test_search_is_drawn_and_extraction_is_told(with_people):
    page = render_report(with_people)
    assert "from 50.0% to 53.0%" in page
    assert "features of 50 faces, 2 failed (2 x no such file)" in page
    single = heatmap_plot([{"lr": "1", "val_triplet_accuracy": "0.5"}], ["lr"])
    assert single is None
    assert heatmap_plot([], []) is None


def test_seeds_stand_together_as_one_recipe(seeds_page, seeds):
    assert "<h1>embedding</h1>" in seeds_page
    assert table_row(seeds_page, "this recipe")[:4] == expected_cells(seeds.mean)
    single = [one.overall.accuracy for one in seeds.evaluations]
    told = verdict(seeds_page)
    assert "this recipe, averaged over 3 seeds, finds" in told
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
