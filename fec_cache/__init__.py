"""Say whether two faces show similar expressions, from cached features of a frozen backbone.

The public door: every name in `__all__` is loaded when it is first used, so that importing the
package is quick and loads no torch. All other modules may change between releases.

    from fec_cache import Judge

    judge = Judge.load("runs/best")
    verdict = judge.compare("a.jpg", "b.jpg")
"""

import importlib
from typing import TYPE_CHECKING, Any

from fec_cache.system.version import VERSION

if TYPE_CHECKING:
    from fec_cache.cache.cache import FeatureCache
    from fec_cache.cache.catalogue import open_cache
    from fec_cache.datasets.synthetic.config import SyntheticConfig
    from fec_cache.errors import FecError
    from fec_cache.extraction.config import ExtractConfig
    from fec_cache.heads.config import HeadConfig
    from fec_cache.judge.judge import Judge
    from fec_cache.judge.verdict import FailedPair, Verdict
    from fec_cache.pairs.annotated import AnnotatedPairs, load_pairs
    from fec_cache.pairs.config import PairConfig
    from fec_cache.runs.trained import TrainedHead
    from fec_cache.system.reporter import LOGGING, SILENT, Reporter
    from fec_cache.system.workspace import Workspace
    from fec_cache.training.config import TrainConfig
    from fec_cache.workflows.compare import compare
    from fec_cache.workflows.datasets import synthesize
    from fec_cache.workflows.evaluate import evaluate
    from fec_cache.workflows.extract import extract
    from fec_cache.workflows.search import search
    from fec_cache.workflows.train import fit


__version__ = VERSION

# Where each public name is defined. `search` is a folder of the package as well: see its module.
_HOMES = {
    "AnnotatedPairs": "pairs.annotated",
    "ExtractConfig": "extraction.config",
    "FailedPair": "judge.verdict",
    "FeatureCache": "cache.cache",
    "FecError": "errors",
    "HeadConfig": "heads.config",
    "Judge": "judge.judge",
    "LOGGING": "system.reporter",
    "PairConfig": "pairs.config",
    "Reporter": "system.reporter",
    "SILENT": "system.reporter",
    "SyntheticConfig": "datasets.synthetic.config",
    "TrainConfig": "training.config",
    "TrainedHead": "runs.trained",
    "Verdict": "judge.verdict",
    "Workspace": "system.workspace",
    "compare": "workflows.compare",
    "evaluate": "workflows.evaluate",
    "extract": "workflows.extract",
    "fit": "workflows.train",
    "load_pairs": "pairs.annotated",
    "open_cache": "cache.catalogue",
    "synthesize": "workflows.datasets",
}

__all__ = [
    "LOGGING",
    "SILENT",
    "AnnotatedPairs",
    "ExtractConfig",
    "FailedPair",
    "FeatureCache",
    "FecError",
    "HeadConfig",
    "Judge",
    "PairConfig",
    "Reporter",
    "SyntheticConfig",
    "TrainConfig",
    "TrainedHead",
    "Verdict",
    "Workspace",
    "compare",
    "evaluate",
    "extract",
    "fit",
    "load_pairs",
    "open_cache",
    "search",
    "synthesize",
]


def __getattr__(name: str) -> Any:
    if name == "search":
        return importlib.import_module("fec_cache.search")
    if name not in _HOMES:
        raise AttributeError(f"module 'fec_cache' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"fec_cache.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
