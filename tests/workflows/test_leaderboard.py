"""`fec leaderboard`: every run in one table, damaged ones named."""

import csv
import json


def test_runs_with_their_figures_sorted(place):
    place.ok("train-head", "--epochs", "1", "--head", "embedding", "--name", "second")
    place.ok("evaluate", "--run", "first")
    found = json.loads(place.ok("leaderboard", "--json").stdout)
    runs = {entry["run"]: entry for entry in found["runs"]}
    assert set(runs) == {"first", "second"}
    metrics = json.loads((place.folder / "runs" / "first" / "metrics.json").read_text())
    evaluation = json.loads((place.folder / "runs" / "first" / "evaluation.json").read_text())
    first = runs["first"]
    assert first["validation"] == metrics["val_triplet_accuracy"]
    assert first["seconds"] == metrics["duration_s"]
    assert first["test"] == evaluation["triplets"]["all"]["accuracy"]
    assert first["head"] == "concat-256"
    assert (first["layer"], first["loss"]) == ("avgpool", "bce")
    assert runs["second"]["test"] is None
    accuracies = [entry["validation"] for entry in found["runs"]]
    assert accuracies == sorted(accuracies, reverse=True)
    by_test = json.loads(place.ok("leaderboard", "--sort", "test", "--json").stdout)["runs"]
    assert [entry["run"] for entry in by_test] == ["first", "second"]
    by_name = json.loads(place.ok("leaderboard", "--sort", "run", "--json").stdout)["runs"]
    assert [entry["run"] for entry in by_name] == ["first", "second"]
    assert "random weights" in place.ok("leaderboard").output


def test_csv_is_the_table(place):
    place.ok("leaderboard", "--csv", "board.csv")
    with (place.folder / "board.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["run"] == "first"
    assert row["test"] == ""
    assert 0 < float(row["validation"]) <= 1


def test_no_csv_in_place_of_a_folder(place):
    assert "is a folder. Give a file" in place.misused("leaderboard", "--csv", ".")


def test_damaged_runs_are_named_and_left_out(place):
    broken = place.folder / "runs" / "broken"
    broken.mkdir()
    (broken / "config.json").write_text('{"head": 3}')
    (place.folder / "runs" / "first" / "metrics.json").write_text("\x00")
    (place.folder / "runs" / "first" / "evaluation.json").write_text('{"triplets": [1]}')
    result = place.ok("leaderboard", "--json")
    found = json.loads(result.stdout)
    assert [entry["run"] for entry in found["runs"]] == ["first"]
    assert found["runs"][0]["validation"] is None
    assert found["damaged"][0].startswith("broken: ")
    assert "broken" in place.ok("leaderboard").stderr


def test_wrong_column_and_no_runs(place, empty):
    wrong = place.run("leaderboard", "--sort", "colour")
    assert wrong.exit_code == 2
    assert "must be one of: run, backbone" in wrong.stderr
    assert "fec train-head" in place.fails("leaderboard", "--runs", "nowhere")


def test_a_head_in_closed_form_has_no_loss_and_names_are_whole(place):
    name = "a-name-that-is-longer-than-any-table-of-eighty-letters-would-like-" + "x" * 60
    words = ("--head", "scatter", "--loss", "triplet", "--lr", "0.5", "--name", name)
    told = place.ok("train-head", *words).stderr
    assert "the scatter head ignores --lr, --loss" in told
    found = json.loads(place.ok("leaderboard", "--json").stdout)["runs"]
    (run,) = (entry for entry in found if entry["run"] == name)
    assert (run["head"], run["loss"]) == ("scatter", "closed form")
    config = json.loads((place.folder / "runs" / name / "config.json").read_text())
    assert (config["train"]["loss"], config["train"]["lr"]) == ("bce", 1e-3)
    table = place.ok("leaderboard").stdout
    assert name in table
    assert "…" not in table
