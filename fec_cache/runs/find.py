"""Names -> folders of runs, without loading torch."""

import fnmatch
from pathlib import Path

from fec_cache.datasets.annotations import shortened
from fec_cache.errors import BadOption, MissingData
from fec_cache.runs.files import CONFIG_NAME
from fec_cache.system.workspace import Workspace

_MAX_NAME_BYTES = 200


def check_run_name(name: str) -> None:
    """Check that a name is a valid folder name on every system.

    Raises:
        BadOption: it is not.
    """
    if not name or set(name) & set("/\\"):
        problem = "it must be the name of a folder, without slashes"
    elif name[0] in ".-":
        problem = "it must not begin with a dot or a dash"
    elif not name.isprintable() or name != name.strip():
        problem = "it must not have control characters, or spaces at either end"
    elif len(name.encode(errors="surrogateescape")) > _MAX_NAME_BYTES:
        problem = f"it must have at most {_MAX_NAME_BYTES} bytes"
    else:
        return
    raise BadOption(f"The run's name is {shortened(name)}, but {problem}.")


def all_runs(runs_dir: Path) -> tuple[Path, ...]:
    """Folders of all runs, by name; a folder is a run once it has a configuration."""
    return tuple(sorted(path.parent for path in runs_dir.glob(f"*/{CONFIG_NAME}")))


def newest_run(runs_dir: Path) -> Path:
    """The run whose configuration was written last.

    Raises:
        MissingData: there is no run.
    """
    configs = [folder / CONFIG_NAME for folder in all_runs(runs_dir)]
    if not configs:
        raise no_runs(runs_dir)
    return max(configs, key=lambda path: (path.stat().st_mtime_ns, path)).parent


def find_run(workspace: Workspace, name: str | None) -> Path:
    """The folder of a run by its name or path, or the newest one.

    Raises:
        MissingData: there is no such run.
    """
    if name is None:
        return newest_run(workspace.runs_dir)
    # An empty name would be the folder of runs, or the current folder.
    for folder in (workspace.runs_dir / name, Path(name)) if name.strip() else ():
        if (folder / CONFIG_NAME).is_file():
            return folder
    names = [folder.name for folder in all_runs(workspace.runs_dir)]
    if not names:
        raise no_runs(workspace.runs_dir)
    raise MissingData(
        f"There is no run {name!r} in {workspace.runs_dir}. Choose one of: {', '.join(names)}."
    )


def find_runs(workspace: Workspace, patterns: str) -> tuple[Path, ...]:
    """Folders of runs from a comma-separated list of names and patterns such as `best-*`.

    Raises:
        MissingData: a name or a pattern matches no run.
    """
    matches: dict[Path, None] = {}
    runs = all_runs(workspace.runs_dir)
    for pattern in (part.strip() for part in patterns.split(",")):
        if not set(pattern) & set("*?["):
            matches[find_run(workspace, pattern)] = None
            continue
        fitting = [folder for folder in runs if fnmatch.fnmatchcase(folder.name, pattern)]
        if not fitting:
            raise MissingData(
                f"No run in {workspace.runs_dir} matches {pattern!r}. Available: "
                f"{', '.join(folder.name for folder in runs) or 'none'}."
            )
        matches.update(dict.fromkeys(fitting))
    return tuple(matches)


def find_groups(workspace: Workspace, a: str, b: str) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Folders of two groups of runs that are to be compared.

    Raises:
        MissingData: a name or a pattern matches no run.
        BadOption: the two groups share a run.
    """
    groups = find_runs(workspace, a), find_runs(workspace, b)
    if set(groups[0]) & set(groups[1]) and groups[0] != groups[1]:
        raise BadOption(f"{a!r} and {b!r} share a run, but each must be on one side only.")
    return groups


def no_runs(runs_dir: Path) -> MissingData:
    """The error for a folder without runs."""
    return MissingData(f"{runs_dir} has no trained head. Run: fec train-head")
