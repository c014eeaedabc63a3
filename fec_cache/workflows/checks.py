"""What a command can check before it loads torch: names of runs, caches, files and devices.

The workflows make the same checks, but importing one takes seconds. A wrong name should be reported
at once. Each function raises the error that its workflow would raise; none of them opens features.
"""

from collections.abc import Sequence
from pathlib import Path

from fec_cache.backbones.registry import find_kind
from fec_cache.cache.folders import some_cache_folders
from fec_cache.datasets.annotations import find_annotations
from fec_cache.datasets.out_folder import check_out
from fec_cache.errors import CacheMismatch
from fec_cache.extraction.config import ExtractConfig
from fec_cache.inference.config import check_device_name
from fec_cache.runs.find import check_run_name, find_groups, find_run, find_runs
from fec_cache.search.choice import check_rule
from fec_cache.search.samplers.base import make_sampler
from fec_cache.search.space import Space
from fec_cache.system.workspace import Workspace

DEMO_MARKER = "demo.json"


def check_extract(workspace: Workspace, config: ExtractConfig) -> None:
    """Check devices, backbone and data.

    Raises:
        BadOption: a device or the backbone is unknown.
        MissingData: there is no train.csv.
    """
    for name in config.device_names:
        check_device_name(name)
    find_kind(config.backbone)
    find_annotations(workspace.data_dir, "train")


def check_training(
    workspace: Workspace, features: str | None, name: str | None, device: str
) -> None:
    """Check the run's name, the device, the caches and the data.

    Raises:
        BadOption: the name cannot be a folder's, or the device is unknown.
        CacheNotFound, CacheMismatch: there is no such cache.
        MissingData: there is no train.csv.
    """
    if name is not None:
        check_run_name(name)
    check_device_name(device)
    _check_features(workspace.cache_dir, features)
    find_annotations(workspace.data_dir, "train")


def check_search(space: Space, sampler: str, trials: int | None, seed: int, rule: str) -> None:
    """Check that the settings of a search are valid and can be sampled.

    Raises:
        BadOption: one of them is not, or the rule needs more seeds.
    """
    check_rule(rule, len(space.seeds))
    make_sampler(space, sampler, trials, seed)


def check_evaluation(workspace: Workspace, run: str | None) -> None:
    """Check the run and the data.

    Raises:
        MissingData: there is no such run, or no test.csv.
    """
    find_run(workspace, run)
    find_annotations(workspace.data_dir, "test")


def check_comparison(workspace: Workspace, a: str, b: str) -> None:
    """Check both groups of runs, and the data.

    Raises:
        MissingData: a run does not exist, or there is no test.csv.
        BadOption: the two groups share a run.
    """
    find_groups(workspace, a, b)
    find_annotations(workspace.data_dir, "test")


def check_report(workspace: Workspace, run: str | None, against: str | None) -> None:
    """Check the runs.

    Raises:
        MissingData: a run does not exist.
    """
    find_runs(workspace, run) if run else find_run(workspace, None)
    if against:
        find_runs(workspace, against)


def check_prediction(workspace: Workspace, run: str | None, pictures: Sequence[Path]) -> Path:
    """Check the run and that both pictures can be opened.

    Returns:
        The folder of the run.

    Raises:
        MissingData: there is no such run.
        BadImage: a picture cannot be read or is damaged.
    """
    folder = find_run(workspace, run)
    from fec_cache.faces.sources import check_pictures

    check_pictures(pictures)
    return folder


def check_demo(out: Path, backbone: str | None) -> None:
    """Check the output folder and the backbone's name.

    Raises:
        OutputExists: `out` holds something that the demo did not write.
        BadOption: the backbone is unknown.
    """
    check_out(out, DEMO_MARKER, "fec demo")
    if backbone:
        find_kind(backbone)


def _check_features(cache_dir: Path, features: str | None) -> None:
    names = [name.strip() for name in features.split(",")] if features else []
    some_cache_folders(cache_dir, names[0] if names else None)
    if not names:
        return
    from fec_cache.cache.catalogue import find_folders
    from fec_cache.cache.joined import select_caches

    try:
        find_folders(cache_dir, names)
    except CacheMismatch:
        # Its message names --features. Not called otherwise: it logs every damaged cache, and the
        # workflow would log them again.
        select_caches(cache_dir, features)
