"""How commands end when they cannot do their work: one line, exit code, one JSON object."""

import json

import click
import pytest
from click.testing import CliRunner

from fec_cache.cli.failures import FecGroup
from fec_cache.cli.options import box_sides, hidden_sizes
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


@pytest.mark.parametrize(
    ("parse", "text", "problem"),
    [
        (box_sides, "0,1,0,fast", "'fast' is not a number, as in 0.2,0.8,0.1,0.9."),
        (box_sides, "0,,1,0", "has an empty part"),
        (hidden_sizes, "12x", "'12x' is not the width of a hidden layer; expected 256, 512-128"),
        (box_sides, "0,1", "'0,1' has 2 numbers, expected four: left, right, top, bottom."),
        (box_sides, "0.5,0.5,0,1", "empty box: left 0.5, right 0.5, top 0.0, bottom 1.0; expected"),
        (box_sides, "0,1,0.9,0.1", "empty box: "),
        (box_sides, "0,120,0,1", "right is 120, but box sides are fractions of the picture"),
        (box_sides, "0,1,nan,1", "top is nan"),
    ],
)
def test_values_that_cannot_be_read_say_why(parse, text, problem):
    with pytest.raises(click.BadParameter) as caught:
        parse(text)
    assert problem in caught.value.message


def test_the_option_is_named_beside_the_problem(empty):
    assert "Error: Invalid value for '--box': '0,1' has 2 numbers" in empty.misused(
        "predict", "a.jpg", "b.jpg", "--box", "0,1"
    )


def test_good_values_are_read():
    assert box_sides("1e-4, 1,0,0.5") == (1e-4, 1.0, 0.0, 0.5)
    assert hidden_sizes("None") == ()
    assert hidden_sizes("512-128") == (512, 128)
    assert box_sides("0.1,0.9,0,1") == (0.1, 0.9, 0.0, 1.0)
