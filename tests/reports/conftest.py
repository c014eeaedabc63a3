"""Reports of one head, of one with people's labels, and of three seeds."""

import dataclasses

import numpy as np
import pytest
import torch

from fec_cache.evaluation.baseline import Baseline
from fec_cache.evaluation.face_map import map_faces
from fec_cache.evaluation.people import RowLabels
from fec_cache.evaluation.report import evaluate_head
from fec_cache.evaluation.seed_group import Seed, SeedGroup
from fec_cache.evaluation.seeds import credits_of, mean_over_seeds
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head
from fec_cache.reports.data import ReportData
from fec_cache.reports.page import render_report
from tests.reports.reading import (
    HISTORY,
    NUM_FACES,
    WIDTH,
    baseline_of,
    noise,
    run_config,
    triplets,
)


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def page(full):
    return render_report(full)


@pytest.fixture(scope="session")
def figures_only(full):
    return dataclasses.replace(full, history=(), table=None, picture=lambda row: None)


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def seeds_page(full, seeds):
    theirs = full.baseline.evaluation
    credits = tuple(credits_of([theirs], full.table))
    baseline = Baseline(("plain",), theirs, {}, features="resnet18:avgpool", credits=credits)
    baseline = baseline.beside(seeds.evaluations, full.table, full.evaluation.units)
    return render_report(dataclasses.replace(full, seeds=seeds, baseline=baseline))
