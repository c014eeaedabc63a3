"""Help, tables and errors that need no tensor answer at once: they load no heavy library."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fec_cache.cli.main import fec

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "torchvision", "scipy", "sklearn", "pandas", "matplotlib")
# Lighter, but useless for help.
MEDIUM = ("numpy", "h5py", "PIL", "rich", "httpx")
HELP = [
    "--help",
    *(f"{name} --help" for name in sorted(fec.commands)),
    *(f"cache {name} --help" for name in sorted(fec.commands["cache"].commands)),
]
# Commands in a folder with data, a cache and the run `first`, with their exit codes.
LIGHT = {
    "leaderboard": 0,
    "leaderboard --runs none": 1,
    "leaderboard --sort nope": 2,
    "evaluate --run nope": 1,
    "evaluate --runs none": 1,
    "evaluate --data none": 1,
    "compare first nope": 1,
    "compare first first,second": 2,
    "report --run nope": 1,
    "report --against nope": 1,
    "predict a.jpg b.jpg": 1,
    "predict a.jpg b.jpg --run nope": 1,
    "predict a.jpg b.jpg --box 0,1": 2,
    "train-head --cache none": 1,
    "train-head --features nope": 1,
    "train-head --data none": 1,
    "train-head --lr -1": 2,
    "train-head --name ../x": 2,
    "train-head --device abacus": 2,
    "grid-search --cache none": 1,
    "grid-search --features nope": 1,
    "grid-search --data none": 1,
    "grid-search --dropout 0,2": 2,
    "grid-search --choose one-se": 2,
    "grid-search --name ../x": 2,
    "extract --data none": 1,
    "extract --backbone resnet81": 2,
    "extract --devices cpu,abacus": 2,
    "extract --shard-faces 0": 2,
    "demo --backbone resnet81 --out new": 2,
    "demo --out data": 1,
    "cache list": 0,
    "cache list --cache none": 1,
    "cache info --cache none": 1,
    "cache verify --cache none": 1,
    "cache repair --cache none": 1,
    "cache prune --cache none": 1,
    "cache prune --whole": 2,
    "cache export --cache none --out x.h5": 1,
    "synthesize --out runs": 1,
    "import-folder none --out new": 1,
    "download --status --data none": 1,
}
_RUN_ALL = """
import json, sys
from click.testing import CliRunner
from fec_cache.cli.main import fec

commands, libraries = json.loads(sys.argv[1])
results = {}
for words in commands:
    before = set(sys.modules)
    code = CliRunner().invoke(fec, words.split()).exit_code
    results[words] = code, sorted((set(sys.modules) - before) & set(libraries))
print(json.dumps(results))
"""


def run_all(commands, libraries, folder):
    """Exit code of each command, and the libraries that it loads first, in one fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN_ALL, json.dumps([list(commands), libraries])],
        capture_output=True, text=True, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_help_loads_no_library():
    results = run_all(HELP, HEAVY + MEDIUM, ROOT)
    assert results == {words: [0, []] for words in HELP}


def test_tables_and_errors_that_need_no_tensor_load_no_heavy_library(place):
    shutil.copytree("runs/first", "runs/second")
    results = run_all(LIGHT, HEAVY, place.folder)
    assert results == {words: [code, []] for words, code in LIGHT.items()}


@pytest.mark.parametrize(
    # Idle, these take 0.2 and 0.35 s; beside another test on one core, half as much again.
    ("words", "code", "limit_s"),
    [("train-head --help", 0, 0.5), ("leaderboard", 0, 0.9)],
)
def test_a_light_command_takes_little_cpu_time(place, words, code, limit_s):
    times = []
    for _ in range(3):
        before = os.times()
        done = subprocess.run(
            [sys.executable, str(ROOT / "cli.py"), *words.split()], capture_output=True
        )
        after = os.times()
        assert done.returncode == code
        # CPU time: a busy machine must not fail the test, a slow import must.
        spent_s = after.children_user - before.children_user
        times.append(spent_s + after.children_system - before.children_system)
    assert 0 < min(times) < limit_s
