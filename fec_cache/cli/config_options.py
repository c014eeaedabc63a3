"""Command-line options made from the fields of a configuration: names, defaults, help, choices.

A field becomes an option if its metadata has a `help` text. Other keys of the metadata: `choices`
(the allowed words, or a function that gives them), `metavar`, `flag` (the option's name if it is
not the field's), `flag_value` (the value of the option without a word after it), `parse` (a
function from text to the value) and `unset` (what the default means, for the help).
"""

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Collection
from typing import Any

import click

from fec_cache.cli.options import Command, hidden_sizes, reader, with_options, word_list

_READERS: dict[Any, Callable[[str], Any]] = {
    tuple[int, ...]: hidden_sizes,
    tuple[str, ...]: word_list,
}


def options_of(
    kind: type[Any], argument: str, only: Collection[str] = ()
) -> Callable[[Command], Command]:
    """Add an option for each field of a configuration, and pass them on as one record.

    Args:
        kind: a dataclass.
        argument: the parameter of the command that takes the record.
        only: names of the fields that become options; without any, all that have a help text.
    """
    fields = [f for f in dataclasses.fields(kind) if "help" in f.metadata]
    fields = [f for f in fields if not only or f.name in only]
    names = [f.name for f in fields]

    def decorate(command: Command) -> Command:
        """Add the options to a command."""

        @functools.wraps(command)
        def wrapped(*args: Any, **values: Any) -> Any:
            """Gather the options and call the command."""
            chosen = {name: values.pop(name) for name in names}
            # None is left to the dataclass: an empty tuple cannot be the default of an option.
            record = kind(**{name: value for name, value in chosen.items() if value is not None})
            return command(*args, **{argument: record}, **values)

        return with_options([option_of(kind, f) for f in fields], wrapped)

    return decorate


def option_of(kind: type[Any], field: "dataclasses.Field[Any]") -> Command:
    """The click option of one field."""
    meta = field.metadata
    annotation = _without_none(typing.get_type_hints(kind)[field.name])
    default = default_of(field)
    words = [meta.get("flag", f"--{field.name.replace('_', '-')}"), field.name]
    shared: dict[str, Any] = {"help": meta["help"], "metavar": meta.get("metavar")}
    if annotation is bool:
        return click.option(
            *words, is_flag=True, default=default, show_default="/" in words[0], help=meta["help"]
        )
    if "parse" in meta or annotation in _READERS:
        default = as_word(default) if default else None
        shared["type"] = reader(meta["parse"]) if "parse" in meta else _READERS[annotation]
    else:
        shared["type"] = click.Choice(choices_of(field)) if "choices" in meta else annotation
    if "flag_value" in meta:
        shared |= {"is_flag": False, "flag_value": meta["flag_value"]}
    shown = meta.get("unset", default not in (None, ""))
    return click.option(*words, default=default, show_default=shown, **shared)


def choices_of(field: "dataclasses.Field[Any]") -> tuple[str, ...]:
    """The words that a field with `choices` may hold."""
    choices = field.metadata["choices"]
    return tuple(choices() if callable(choices) else choices)


def default_of(field: "dataclasses.Field[Any]") -> Any:
    """The default of a field."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def as_word(value: object) -> str:
    """A default as one would type it: `512-128` for layers, a comma-separated list for words."""
    if isinstance(value, tuple):
        numbers = all(isinstance(part, int) for part in value)
        return ("-" if numbers else ",").join(map(str, value)) or "none"
    return "default" if value is None else str(value)


def _without_none(annotation: Any) -> Any:
    """`int` of `int | None`; others as they are."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        (annotation,) = (a for a in typing.get_args(annotation) if a is not type(None))
    return annotation
