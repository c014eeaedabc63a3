"""How a failed command ends: one line on standard error, an exit code, one JSON object."""

import json
from typing import Any

import click

from fec_cache.errors import BadOption, FecError, OutOfMemory, system_advice

FAILED, MISUSED, INTERRUPTED = 1, 2, 130
# What torch says, by device; it has no type of its own for memory of the CPU.
_MEMORY_SIGNS = ("out of memory", "allocate memory", "not enough memory")
_AS_JSON = "fec_cache.as_json"


class NamedFailure(click.ClickException):
    """A failure with the `kind` that --json reports."""

    exit_code = FAILED

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class NamedMisuse(NamedFailure):
    """A value that an option does not accept."""

    exit_code = MISUSED


class ResumableCommand(click.Command):
    """A command that keeps what is finished when it is interrupted.

    Args:
        *args, **attributes: as for `click.Command`.
        keeps: what it keeps, as the start of a sentence: "Finished shards".
    """

    def __init__(self, *args: Any, keeps: str, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.keeps = keeps


class PlainGroup(click.Group):
    """A group whose help shows the whole first sentence of each command's help."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        commands = [self.get_command(ctx, name) for name in self.list_commands(ctx)]
        # click cuts the sentence at 45 characters by default.
        rows = [(c.name or "", c.get_short_help_str(limit=1000)) for c in commands if c]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class FecGroup(PlainGroup):
    """Turns every failure into one line on standard error and an exit code.

    1 is a named error, 2 wrong usage, 130 an interrupt. With --json, one object is also printed on
    standard output, with the keys `error`, `kind` and `exit_code`.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note whether --json was given, before anything can fail."""
        ctx.meta[_AS_JSON] = "--json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return self._invoke(ctx)
        except click.ClickException as error:
            if ctx.meta.get(_AS_JSON):
                _print_json(error.format_message(), _kind(error), error.exit_code)
            raise

    def _invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FecError as error:
            raise _named(error) from error
        except (KeyboardInterrupt, click.Abort):
            message = f"Interrupted. {self._next_step(ctx)}"
            if ctx.meta.get(_AS_JSON):
                _print_json(message, "Interrupted", INTERRUPTED)
            click.echo(message, err=True)
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:  # the reader closed the pipe, which click handles
            raise
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            message = f"{error.strerror or error}{where}; "
            raise NamedFailure(message + system_advice(error), "System") from error
        except (MemoryError, RuntimeError) as error:
            if not _is_about_memory(error):
                raise
            raise _named(_out_of_memory(error)) from error

    def _next_step(self, ctx: click.Context) -> str:
        command = self.get_command(ctx, ctx.invoked_subcommand or "")
        if isinstance(command, ResumableCommand):
            return f"{command.keeps} are saved: run the same command again to continue."
        return "Run the same command again to start over."


def _named(error: FecError) -> NamedFailure:
    kind = NamedMisuse if isinstance(error, BadOption) else NamedFailure
    return kind(str(error), type(error).__name__)


def _kind(error: click.ClickException) -> str:
    return error.kind if isinstance(error, NamedFailure) else "Usage"


def _print_json(message: str, kind: str, exit_code: int) -> None:
    click.echo(json.dumps({"error": message, "kind": kind, "exit_code": exit_code}))


def _is_about_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in _MEMORY_SIGNS)


def _out_of_memory(error: BaseException) -> OutOfMemory:
    reason = (str(error).splitlines() or [""])[0].strip(" .") or "none is left"
    return OutOfMemory(
        f"Memory ran out: {reason}. Try narrower features (a grid of fewer cells, or fewer joined "
        "caches), a smaller --hidden or --batch-size, or another --device."
    )
