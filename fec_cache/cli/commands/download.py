"""The command of the real data: download."""

from pathlib import Path

import click

from fec_cache.cli.console import Console
from fec_cache.cli.options import config_options, console_options, workspace_options
from fec_cache.datasets.download.config import KEEPS, RETRIES, DownloadConfig
from fec_cache.system.workspace import Workspace

_D = DownloadConfig
_OPTIONS = (
    click.option("--concurrency", default=_D.concurrency, show_default=True, help="Requests."),
    click.option("--per-host", default=_D.per_host, show_default=True, help="Requests to a host."),
    click.option("--tries", default=_D.tries, show_default=True, help="For a URL in one run."),
    click.option(
        "--deadline", "deadline_s", default=_D.deadline_s, show_default=True, metavar="SECONDS",
        help="For one URL, redirects and body included.",
    ),
    click.option(
        "--connect-timeout", "connect_s", default=_D.connect_s, show_default=True,
        metavar="SECONDS", help="For one connection.",
    ),
    click.option(
        "--max-bytes", default=_D.max_bytes, show_default=True, help="Of one picture, at most."
    ),
    click.option(
        "--backoff", "backoff_s", default=_D.backoff_s, show_default=True, metavar="SECONDS",
        help="Before the second try; then doubled, with jitter.",
    ),
    click.option(
        "--longest-wait", "longest_wait_s", default=_D.longest_wait_s, show_default=True,
        metavar="SECONDS", help="A host that asks for more is left for a later run.",
    ),
    click.option(
        "--contact", default=_D.contact, metavar="TEXT",
        help="Mail address or page, sent in the User-Agent: please give one.",
    ),
    click.option(
        "--honour-robots/--ignore-robots", "honour_robots", default=True, show_default=True,
        help="Whether X-Robots-Tag is obeyed.",
    ),
    click.option(
        "--allow-private", is_flag=True, help="Allow loopback and private addresses: for tests."
    ),
    click.option(
        "--keep", type=click.Choice(KEEPS), default=_D.keep, show_default=True,
        help="Whole pictures, or each face with a 40 % margin in DATA/cropped.",
    ),
    click.option(
        "--max-gb",
        default=_D.max_gb,
        show_default=True,
        help="Stop when so much is stored; 0 sets no limit.",
    ),
    click.option(
        "--retry-failed", type=click.Choice(RETRIES), default=_D.retry_failed, show_default=True,
        help="Which failures of earlier runs to try again.",
    ),
    click.option(
        "--placeholder-urls", default=_D.placeholder_urls, show_default=True,
        help="One content behind more photos than this is no photo; 0: never.",
    ),
)  # fmt: skip


@click.command("download")
@workspace_options("data_dir")
@click.option(
    "--csv",
    "csv_paths",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A CSV file of FEC; again for more. [default: train.csv and test.csv in --data]",
)
@click.option("--status", "only_status", is_flag=True, help="Only say what is there.")
@config_options(DownloadConfig, "config", _OPTIONS)
@console_options
def download(
    console: Console,
    workspace: Workspace,
    csv_paths: tuple[Path, ...],
    only_status: bool,
    config: DownloadConfig,
) -> None:
    """Fetch FEC's images from their URLs: every one that still exists, politely, once.

    Goes on where an earlier run ended. What is missing, and why, is kept in DATA/download.sqlite;
    DATA/survivors.json names the set of images that is there.
    """
    from fec_cache.workflows.download import download as run_download
    from fec_cache.workflows.download import download_status as run_status

    if only_status:
        outcome = run_status(workspace)
    else:
        outcome = run_download(workspace, csv_paths, config, console)
    console.result(outcome.parts(), outcome.to_dict())
