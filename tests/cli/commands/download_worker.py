"""A download in its own process, which a test can kill: FOLDER."""

import sys
from pathlib import Path

from fec_cache.cli.console import Console
from fec_cache.datasets.download.config import DownloadConfig
from fec_cache.datasets.download.run import NetworkAccess
from fec_cache.system.workspace import Workspace
from fec_cache.workflows.download import run_download
from tests.datasets.download.picture_server import pinned

# The deadline leaves a busy machine time for six requests in a row; two tries keep the run short.
CONFIG = DownloadConfig(
    concurrency=48, per_host=8, tries=2, backoff_s=0.05, deadline_s=2.2, max_bytes=1_000_000
)


def run(folder):
    """Download into a folder as the command does, with this machine as the internet."""
    workspace = Workspace(data_dir=Path(folder))
    return run_download(workspace, (), CONFIG, Console(verbosity=-1), NetworkAccess(pinned()))


if __name__ == "__main__":
    run(sys.argv[1])
