"""How commands end when they cannot do their work: one line, exit code, one JSON object."""

import json

import click
import pytest
from click.testing import CliRunner

from fec_cache.cli.failures import FecGroup
from fec_cache.errors import BadImage, BadOption, FecError


def ended(error, *words):
    group = FecGroup("g")

    @group.command()
    @click.option("--json", is_flag=True)
    @click.option("--number", type=int)
    def fail(**_):
        raise error

    return CliRunner().invoke(group, ["fail", *words])


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (FecError("It is broken."), "FecError", 1),
        (BadImage("No picture."), "BadImage", 1),
        (BadOption("Too large."), "BadOption", 2),
        (PermissionError(13, "Permission denied", "/there"), "System", 1),
        (KeyboardInterrupt(), "Interrupted", 130),
        (MemoryError("Unable to allocate 9 GiB"), "OutOfMemory", 1),
    ],
)
def test_machines_get_one_object_on_failure_too(error, kind, code):
    result = ended(error, "--json")
    assert result.exit_code == code
    found = json.loads(result.stdout)
    assert (found["kind"], found["exit_code"]) == (kind, code)
    assert found["error"] in result.stderr
    assert ended(error).stdout == ""
    assert ended(error).stderr.count("\n") == 1


def test_machines_get_one_object_on_wrong_usage_too():
    for words in (
        ["fail", "--json", "--number", "x"],
        ["fail", "--nope", "--json"],
        ["no", "--json"],
    ):
        group = FecGroup("g")
        group.add_command(
            click.Command(
                "fail",
                params=[
                    click.Option(["--json"], is_flag=True),
                    click.Option(["--number"], type=int),
                ],
            )
        )
        result = CliRunner().invoke(group, words)
        assert result.exit_code == 2
        assert json.loads(result.stdout)["kind"] == "Usage"
        assert "Error: " in result.stderr


@pytest.mark.parametrize(
    "text",
    [
        "CUDA out of memory. Tried to allocate 20.00 GiB",
        "[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory: you "
        "tried to allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)",
        "MPS backend out of memory (MPS allocated: 5 GB)",
        "[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes.",
    ],
)
def test_a_lack_of_memory_is_named_with_advice(text):
    result = ended(RuntimeError(text + "\nsecond line"))
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: Memory ran out: {text.rstrip('.')}. Try narrower")
    assert "--batch-size" in result.stderr


def test_another_runtime_error_is_a_bug_and_keeps_its_traceback():
    assert isinstance(ended(RuntimeError("shapes differ")).exception, RuntimeError)


def test_a_head_too_large_for_the_machine_is_a_lack_of_memory(place, monkeypatch):
    import torch

    from fec_cache.workflows import train as train_job

    def fit(*_):
        torch.empty(1 << 60, dtype=torch.uint8)  # more than any address space

    monkeypatch.setattr(train_job, "fit_arrays", fit)
    assert place.fails("train-head").startswith("Error: Memory ran out: ")
