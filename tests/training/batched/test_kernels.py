"""Compiled functions with and without a compiler."""

import pytest
import torch

from fec_cache.training.batched.kernels import Compiled


class TestCompiled:
    def test_without_a_compiler_one_line_says_so_and_the_function_is_called(
        self, monkeypatch, caplog
    ):
        def broken(function, **_):
            def fail(*arguments):
                raise RuntimeError("Cannot find a working compiler\nand much more")

            return fail

        monkeypatch.setattr(torch, "compile", broken)
        function = Compiled(lambda tensor: tensor.add_(1.0))
        value = torch.zeros(2)
        function(value)
        function(value)
        assert value.tolist() == [2.0, 2.0]
        assert len(caplog.records) == 1
        assert "Cannot find a working compiler" in caplog.text
        assert "much more" not in caplog.text

    def test_what_fails_after_it_has_worked_is_raised(self, monkeypatch):
        monkeypatch.setattr(torch, "compile", lambda function, **_: function)

        def picky(tensor):
            if len(tensor) > 2:
                raise RuntimeError("too long")

        function = Compiled(picky)
        function(torch.zeros(2))
        with pytest.raises(RuntimeError, match="too long"):
            function(torch.zeros(3))
