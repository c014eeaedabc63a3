"""How a command ends when it cannot do its work: one line, an exit code, one JSON object."""

import json
from typing import Any

import click

from fec_cache.errors import BadOption, FecError, OutOfMemory, system_advice

FAILED, MISUSED, INTERRUPTED = 1, 2, 130
# What torch says, by device; it has no type of its own for memory of the CPU.
_MEMORY_SIGNS = ("out of memory", "allocate memory", "not enough memory")
_AS_JSON = "fec_cache.as_json"
_AFTER = {
    name: f"{what} are saved: run the same command again to go on."
    for name, what in {
        "demo": "Finished features and heads",
        "download": "Finished pictures",
        "extract": "Finished shards",
        "grid-search": "Finished points",
    }.items()
}
_ANEW = "Run the same command again to begin anew."


class NamedFailure(click.ClickException):
    """A failure with a kind for machines."""

    exit_code = FAILED

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class NamedMisuse(NamedFailure):
    """A value that an option may not have."""

    exit_code = MISUSED


class PlainGroup(click.Group):
    """Its help lists each command with its whole first sentence, on as many lines as that takes."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [(n, one.get_short_help_str(limit=1000)) for n, one in found if one is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class FecGroup(PlainGroup):
    """Turns every failure into one line on standard error and an exit code.

    1 is a named error, 2 wrong usage, 130 an interrupt. Under --json, standard output holds one
    object then too, with the keys `error`, `kind` and `exit_code`.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note whether a machine is listening, before anything can fail."""
        ctx.meta[_AS_JSON] = "--json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return self._invoke(ctx)
        except click.ClickException as error:
            if ctx.meta.get(_AS_JSON):
                _tell_machine(error.format_message(), _kind(error), error.exit_code)
            raise

    def _invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FecError as error:
            raise _named(error) from error
        except (KeyboardInterrupt, click.Abort):
            message = f"Interrupted. {_AFTER.get(ctx.invoked_subcommand or '', _ANEW)}"
            if ctx.meta.get(_AS_JSON):
                _tell_machine(message, "Interrupted", INTERRUPTED)
            click.echo(message, err=True)
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:  # whoever read the output has gone; click knows what to do
            raise
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            message = f"The system would not do it: {error.strerror or error}{where}; "
            raise NamedFailure(message + system_advice(error), "System") from error
        except (MemoryError, RuntimeError) as error:
            if not _is_about_memory(error):
                raise
            raise _named(_out_of_memory(error)) from error


def _named(error: FecError) -> NamedFailure:
    kind = NamedMisuse if isinstance(error, BadOption) else NamedFailure
    return kind(str(error), type(error).__name__)


def _kind(error: click.ClickException) -> str:
    return error.kind if isinstance(error, NamedFailure) else "Usage"


def _tell_machine(message: str, kind: str, exit_code: int) -> None:
    click.echo(json.dumps({"error": message, "kind": kind, "exit_code": exit_code}))


def _is_about_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in _MEMORY_SIGNS)


def _out_of_memory(error: BaseException) -> OutOfMemory:
    reason = (str(error).splitlines() or [""])[0].strip(" .") or "no more to be had"
    return OutOfMemory(
        f"Memory ran out: {reason}. Try narrower features (a grid of fewer cells, or fewer caches "
        "side by side), a smaller --hidden or --batch-size, or another --device."
    )
