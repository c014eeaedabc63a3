"""Short commands that several tests of workflows run, and how their files are read."""

import csv

QUICK = ("--head", "embedding", "--epochs", "2")
GRID = (
    *("--head", "embedding,concat", "--hidden", "16", "--loss", "bce"),
    *("--lr", "1e-3", "--epochs", "2"),
)


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def page_of(place, *words):
    place.ok("report", "--out", "page.html", "--force", *words)
    return (place.folder / "page.html").read_text(encoding="utf-8")


def names(folder):
    return {path.name for path in folder.iterdir()}
