"""`fec cache ...`: list, check, repair, export and prune the caches of features."""

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
    """List, check, repair, export and prune the caches of features.

    A NAME is BACKBONE, BACKBONE:LAYER or a folder name.
    """


@cache_group.command("list")
@workspace_options("cache_dir")
@console_options
def list_command(console: Console, workspace: Workspace) -> None:
    """List all caches, damaged ones too: recipe, faces, failures, size and state."""
    _check_any(workspace)
    from fec_cache.workflows.caches.inspection import list_summaries

    _show(console, list_summaries(workspace.cache_dir))


@cache_group.command()
@workspace_options("cache_dir")
@click.argument("name", required=False)
@console_options
def info(console: Console, workspace: Workspace, name: str | None) -> None:
    """Show one cache: its recipe, shards, failures by reason, and the runs that made it."""
    _check_any(workspace, name)
    from fec_cache.cache.catalogue import select_cache
    from fec_cache.workflows.caches.inspection import describe

    _show(console, describe(select_cache(workspace.cache_dir, name, "fec cache info")))


@cache_group.command()
@workspace_options("cache_dir")
@names_argument
@console_options
def verify(console: Console, workspace: Workspace, names: Sequence[str]) -> None:
    """Check every byte of the named caches, or of all; exit code 1 if anything is damaged."""
    folders = _find_folders(workspace, names)
    from fec_cache.cache.maintenance.verify import verify_cache, verify_index
    from fec_cache.workflows.caches.inspection import verified_report

    reports = []
    with console.progress("Checking", "caches") as step:
        for number, folder in enumerate(folders, start=1):
            reports.append(verify_cache(folder))
            step(number, len(folders), folder.name)
    report = verified_report(reports, verify_index(workspace.cache_dir))
    _show(console, report)
    if not report.is_well:
        click.get_current_context().exit(1)


@cache_group.command()
@workspace_options("cache_dir")
@names_argument
@console_options
def repair(console: Console, workspace: Workspace, names: Sequence[str]) -> None:
    """Drop damaged shards and rebuild the metadata from intact ones.

    The next `fec extract` recomputes only the faces of the dropped shards.
    """
    folders = _find_folders(workspace, names)
    from fec_cache.workflows.caches.maintenance import repair_caches as run_repair

    _show(console, run_repair(workspace.cache_dir, folders, console))


@cache_group.command()
@workspace_options("data_dir", "cache_dir")
@click.option(
    "--features",
    default=None,
    metavar="NAME",
    show_default="the only cache",
    help="Cache to export: BACKBONE, BACKBONE:LAYER or a folder name.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write.")
@click.option(
    "--format",
    "kind",
    default=None,
    metavar="FORMAT",
    show_default="by the file name's ending",
    help="File format: hdf5, npz or parquet.",
)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@console_options
def export(
    console: Console,
    workspace: Workspace,
    features: str | None,
    out: Path,
    kind: str | None,
    force: bool,
) -> None:
    """Export a cache to one file: face ids, features, image paths, boxes; the recipe as attributes.

    Paths and boxes come from the data folder; without it they are left empty.
    """
    _check_any(workspace, features)
    from fec_cache.workflows.caches.maintenance import export_one as run_export

    _show(console, run_export(workspace, features, out, kind, force, console))


@cache_group.command()
@workspace_options("data_dir", "cache_dir")
@names_argument
@click.option("--unused", is_flag=True, help="Also remove faces that are no longer in --data.")
@click.option("--whole", is_flag=True, help="Delete the named caches entirely.")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
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
    """Free disk space: remove files of killed runs, unused faces or whole caches."""
    if whole and (not names or unused):
        raise BadOption("--whole deletes caches: name them, and leave out --unused.")
    folders = _find_folders(workspace, names)
    from fec_cache.workflows.caches.maintenance import prune_caches as run_prune
    from fec_cache.workflows.caches.maintenance import remove_caches as run_removal

    if whole:
        listing = ", ".join(folder.name for folder in folders)
        if not (dry_run or yes):
            _confirm(f"Delete {listing}?")
        _show(console, run_removal(folders, dry_run))
        return
    if unused and not (dry_run or yes):
        _confirm("Delete the features of faces that are no longer in --data?")
    _show(console, run_prune(workspace, folders, unused, dry_run, console))


def _check_any(workspace: Workspace, name: str | None = None) -> None:
    """Report that there is no cache before the libraries that read one are loaded."""
    from fec_cache.cache.folders import some_cache_folders

    some_cache_folders(workspace.cache_dir, name)


def _find_folders(workspace: Workspace, names: Sequence[str]) -> tuple[Path, ...]:
    _check_any(workspace)
    from fec_cache.cache.catalogue import find_folders

    return find_folders(workspace.cache_dir, names)


def _confirm(question: str) -> None:
    """Continue only after a yes. Asks on standard error: --json prints on standard output."""
    try:
        is_sure = click.confirm(question, err=True)
    except click.Abort:  # end of input: no one can answer
        click.echo(err=True)
        is_sure = False
    if not is_sure:
        raise FecError("Nothing was deleted. Answer with y, or add --yes.")


def _show(console: Console, report: "CacheReport") -> None:
    console.result(report.parts, report.fields)


COMMANDS = (cache_group,)
