"""`fec cache ...`: the caches as something one can look at, trust and tidy."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fec_cache.cli.console import Console
from fec_cache.cli.failures import PlainGroup
from fec_cache.cli.options import console_options, workspace_options
from fec_cache.errors import BadOption, FecError
from fec_cache.system.workspace import Workspace

if TYPE_CHECKING:
    from fec_cache.workflows.caches.inspection import CacheReport

names_argument = click.argument("names", nargs=-1, metavar="[NAME]...")


@click.group("cache", cls=PlainGroup)
def cache_group() -> None:
    """Look at, check, mend and tidy the caches of features.

    A NAME is BACKBONE, BACKBONE:LAYER or a folder's name.
    """


@cache_group.command("list")
@workspace_options("cache_dir")
@console_options
def list_command(console: Console, workspace: Workspace) -> None:
    """Show every cache: recipe, faces, failures, size and state; damaged ones too."""
    from fec_cache.workflows.caches.inspection import list_summaries

    _tell(console, list_summaries(workspace.cache_dir))


@cache_group.command()
@workspace_options("cache_dir")
@click.argument("name", required=False)
@console_options
def info(console: Console, workspace: Workspace, name: str | None) -> None:
    """Show one cache: its recipe, shards, failures by reason, and the runs that made it."""
    from fec_cache.cache.catalogue import select_cache
    from fec_cache.workflows.caches.inspection import describe

    _tell(console, describe(select_cache(workspace.cache_dir, name, "fec cache info")))


@cache_group.command()
@workspace_options("cache_dir")
@names_argument
@console_options
def verify(console: Console, workspace: Workspace, names: Sequence[str]) -> None:
    """Check every byte of the named caches, or of all; exit code 1 if anything is damaged."""
    from fec_cache.cache.catalogue import find_folders
    from fec_cache.cache.maintenance.verify import verify_cache, verify_index
    from fec_cache.workflows.caches.inspection import verified_report

    folders = find_folders(workspace.cache_dir, names)
    reports = []
    with console.progress("Checking", "caches") as step:
        for number, folder in enumerate(folders, start=1):
            reports.append(verify_cache(folder))
            step(number, len(folders), folder.name)
    told = verified_report(reports, verify_index(workspace.cache_dir))
    _tell(console, told)
    if not told.is_well:
        click.get_current_context().exit(1)


@cache_group.command()
@workspace_options("cache_dir")
@names_argument
@console_options
def repair(console: Console, workspace: Workspace, names: Sequence[str]) -> None:
    """Drop exactly the damaged shards and make anew what the rest tells.

    The next `fec extract` computes exactly the faces of the dropped shards.
    """
    from fec_cache.cache.catalogue import find_folders
    from fec_cache.workflows.caches.maintenance import repair_caches as run_repair

    folders = find_folders(workspace.cache_dir, names)
    _tell(console, run_repair(workspace.cache_dir, folders, console))


@cache_group.command()
@workspace_options("data_dir", "cache_dir")
@click.option(
    "--features",
    default=None,
    metavar="NAME",
    help="Which cache: BACKBONE, BACKBONE:LAYER or a folder's name. [default: the only one]",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The file to write.")
@click.option(
    "--format",
    "kind",
    default=None,
    metavar="FORMAT",
    help="hdf5, npz or parquet. [default: by the file's ending]",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@console_options
def export(
    console: Console,
    workspace: Workspace,
    features: str | None,
    out: Path,
    kind: str | None,
    force: bool,
) -> None:
    """Write one plain file: face ids, features, image paths, boxes, the recipe as attributes.

    Paths and boxes come from the data folder; without it they are left empty.
    """
    from fec_cache.workflows.caches.maintenance import export_one as run_export

    _tell(console, run_export(workspace, features, out, kind, force, console))


@cache_group.command()
@workspace_options("data_dir", "cache_dir")
@names_argument
@click.option("--unused", is_flag=True, help="Faces that --data names no more go too.")
@click.option("--whole", is_flag=True, help="Delete the named caches altogether.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@console_options
def prune(
    console: Console,
    workspace: Workspace,
    names: Sequence[str],
    unused: bool,
    whole: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Free room: what killed runs left; --unused: faces of no use; --whole: whole caches."""
    from fec_cache.cache.catalogue import find_folders
    from fec_cache.workflows.caches.maintenance import prune_caches as run_prune
    from fec_cache.workflows.caches.maintenance import remove_caches as run_removal

    if whole and (not names or unused):
        raise BadOption("--whole deletes caches: name them, and leave --unused away.")
    folders = find_folders(workspace.cache_dir, names)
    if whole:
        listing = ", ".join(folder.name for folder in folders)
        if not (dry_run or yes):
            _confirm(f"Delete {listing}?")
        _tell(console, run_removal(folders, dry_run))
        return
    if unused and not (dry_run or yes):
        _confirm("Delete the features of faces that --data names no more?")
    _tell(console, run_prune(workspace, folders, unused, dry_run, console))


def _confirm(question: str) -> None:
    """Go on only after a yes; on standard error, for --json speaks on the other."""
    try:
        is_sure = click.confirm(question, err=True)
    except click.Abort:  # nobody there to answer
        click.echo(err=True)
        is_sure = False
    if not is_sure:
        raise FecError("Nothing was deleted. Answer with y, or say --yes beforehand.")


def _tell(console: Console, told: "CacheReport") -> None:
    console.result(told.parts, told.fields)


COMMANDS = (cache_group,)
