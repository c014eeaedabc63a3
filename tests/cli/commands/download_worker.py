"""A download in a process of its own, which a test can kill: FOLDER PORT [CONCURRENCY]."""

import sys
from pathlib import Path

from fec_cache.cli.console import Console
from fec_cache.datasets.download.config import DownloadConfig
from fec_cache.datasets.download.run import NetworkAccess
from fec_cache.system.workspace import Workspace
from fec_cache.workflows.download import run_download
from tests.datasets.download.picture_server import pinned

CONFIG = DownloadConfig(
    concurrency=48, per_host=8, backoff_s=0.05, deadline_s=1.5, max_bytes=1_000_000
)


def run(folder):
    """Download into a folder as the command does, with this machine for the internet."""
    workspace = Workspace(data_dir=Path(folder))
    return run_download(workspace, (), CONFIG, Console(verbosity=-1), NetworkAccess(pinned()))


if __name__ == "__main__":
    run(sys.argv[1])
