"""The command `fec demo`."""

from pathlib import Path

import click

from fec_cache.cli.config_options import options_of
from fec_cache.cli.console import Console
from fec_cache.cli.failures import ResumableCommand
from fec_cache.cli.options import console_options, out_option
from fec_cache.datasets.synthetic.config import SyntheticConfig


@click.command("demo", cls=ResumableCommand, keeps="Finished features and heads")
@out_option("demo")
@options_of(SyntheticConfig, "config", only=("faces", "triplets"))
@click.option(
    "--backbone",
    show_default="the best one whose weights are available",
    help="Backbone, as for fec extract.",
)
@console_options
def demo(console: Console, out: Path, config: SyntheticConfig, backbone: str | None) -> None:
    """Run the whole pipeline on synthetic faces, without a download, and write a report."""
    from fec_cache.workflows.checks import check_demo

    check_demo(out, backbone)
    from fec_cache.workflows.demo import demo as run_demo

    outcome = run_demo(out, config.faces, config.triplets, backbone, console)
    console.result(outcome.parts(), outcome.to_dict())


COMMANDS = (demo,)
