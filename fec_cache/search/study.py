"""Outcomes -> an Optuna study in a database, for optuna-dashboard and Optuna's own tools."""

import math
from collections.abc import Mapping, Sequence

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from fec_cache.errors import BadOption, StorageFailed
from fec_cache.heads.config import PREPARATIONS
from fec_cache.heads.kinds import head_names
from fec_cache.search.ledger import DONE, FAILED, PRUNED
from fec_cache.search.results import Ranked
from fec_cache.training.config import LOSSES, OPTIMIZERS

_SETTING = "setting"
_STATES = {DONE: TrialState.COMPLETE, PRUNED: TrialState.PRUNED, FAILED: TrialState.FAIL}
DEFAULT = "default"
_CHOICES = {
    "head": head_names(),
    "loss": LOSSES,
    "optimizer": OPTIMIZERS,
    "prepare": (DEFAULT, *(words.partition(":")[0] for words in PREPARATIONS)),
}
_MOST = 1_000_000_000


class StudyWriter:
    """Adds settings to a study, each once; one trial a setting, its value the mean over seeds."""

    def __init__(self, url: str, name: str) -> None:
        """Open or begin the study.

        Raises:
            BadOption: the URL names no database that can be opened.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            self._study = optuna.create_study(
                study_name=name, storage=url, direction="maximize", load_if_exists=True
            )
        except Exception as error:  # SQLAlchemy's own family, which is no dependency of ours
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise BadOption(
                f"{url!r} cannot be opened as a study's storage ({reason}). "
                "Name a file, as --storage sqlite:///search.db"
            ) from error
        self._known = {trial.user_attrs.get(_SETTING) for trial in self._study.get_trials(False)}

    def add(self, ranked: Sequence[Ranked]) -> None:
        """Add the settings that the study does not have yet.

        Raises:
            StorageFailed: the database would not take it.
        """
        for entry in ranked:
            name = f"{entry.outcomes[0].key}:{entry.status}:{entry.num_seeds}"
            if name in self._known:
                continue
            try:
                self._study.add_trial(_trial(entry, name))
            except (ValueError, optuna.exceptions.OptunaError) as error:
                raise StorageFailed(
                    f"The study's storage would not take a trial ({error}). The search's own "
                    "results are safe; name another file with --storage."
                ) from error
            self._known.add(name)


def _trial(entry: Ranked, name: str) -> optuna.trial.FrozenTrial:
    params, distributions = _params(entry.settings)
    is_failed = entry.status == FAILED
    value = None if is_failed else entry.val_triplet_accuracy
    epochs = max(outcome.epochs for outcome in entry.outcomes)
    attrs = {
        _SETTING: name,
        "stderr": None if math.isnan(entry.stderr) else entry.stderr,
        "seeds": {
            str(o.settings.get("seed", 0)): o.error or o.val_triplet_accuracy
            for o in entry.outcomes
        },
    }
    return optuna.trial.create_trial(
        state=_STATES[entry.status],
        value=value,
        params=params,
        distributions=distributions,
        user_attrs=attrs,
        intermediate_values={} if value is None else {epochs: value},
    )


def _params(
    settings: Mapping[str, object],
) -> tuple[dict[str, object], dict[str, BaseDistribution]]:
    """Settings as Optuna's parameters, in distributions that are the same for every search.

    Optuna refuses a study whose choices change, so lists of layers become a number of layers and
    their widths.
    """
    params: dict[str, object] = {}
    distributions: dict[str, BaseDistribution] = {}
    for name, value in settings.items():
        if name == "seed":
            continue
        if isinstance(value, (list, tuple)):
            params[f"{name}_layers"] = len(value)
            params |= {f"{name}_{place}": width for place, width in enumerate(value, start=1)}
        elif name == "prepare" and isinstance(value, str):
            params[name], _, size = value.partition(":")
            params |= {f"{name}_to": int(size)} if size else {}
        else:
            params[name] = DEFAULT if value is None else value
    for name, value in params.items():
        distributions[name] = _distribution(name, value)
    return params, distributions


def _distribution(name: str, value: object) -> BaseDistribution:
    if isinstance(value, bool):
        return CategoricalDistribution([False, True])
    if isinstance(value, int):
        return IntDistribution(0, _MOST)
    if isinstance(value, float):
        return FloatDistribution(0.0, float(_MOST))
    return CategoricalDistribution(_CHOICES.get(name, (str(value),)))
