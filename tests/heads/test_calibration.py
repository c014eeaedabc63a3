"""Calibration: recovers what was planted, keeps the ranking, falls back to the base rate."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from fec_cache.config import HeadConfig
from fec_cache.heads.calibration import fit_calibration, fit_platt
from fec_cache.heads.model import build_head


class TestCalibration:
    def test_recovers_slope_and_offset(self):
        head = build_head(HeadConfig(), 4)
        generator = torch.Generator().manual_seed(0)
        logits = torch.randn(60_000, generator=generator) * 4
        probability = torch.sigmoid(0.5 * logits - 0.7)
        similar = torch.rand(60_000, generator=generator) < probability
        fit_calibration(head, logits, similar)
        assert head.calibration.tolist() == pytest.approx([0.5, -0.7], abs=0.04)

    def test_never_turns_the_ranking_around(self):
        head = build_head(HeadConfig(), 4)
        logits = torch.linspace(-3, 3, 500)
        fit_calibration(head, logits, logits < 0)
        assert head.calibration[0] >= 0
        assert torch.isfinite(head.calibration).all()

    def test_survives_perfect_and_constant_logits(self):
        for logits in (torch.linspace(-3, 3, 100), torch.zeros(100)):
            head = build_head(HeadConfig(), 4)
            fit_calibration(head, logits, torch.arange(100) >= 50)
            assert torch.isfinite(head.calibration).all()

    def test_equals_scikit_learns_logistic_regression(self):
        generator = torch.Generator().manual_seed(1)
        logits = torch.randn(3000, generator=generator) * 7 + 40
        similar = torch.rand(3000, generator=generator) < torch.sigmoid(0.3 * (logits - 41))
        slope, offset = fit_platt(logits, similar)
        oracle = LogisticRegression(C=1e6).fit(logits.numpy()[:, None], similar.numpy())
        assert slope == pytest.approx(oracle.coef_.item(), rel=1e-3)
        assert offset == pytest.approx(oracle.intercept_.item(), rel=1e-3)

    @pytest.mark.parametrize("value", [0.0, 3.7, -1e4])
    def test_constant_logits_fall_back_to_the_base_rate(self, value):
        head = build_head(HeadConfig(), 4)
        logits = torch.full((3000,), value) * (1 + 1e-7 * torch.randn(3000))
        fit_calibration(head, logits, torch.arange(3000) % 3 == 0)
        assert head.calibration[0] == 0
        for other in (value, 0.0, 50.0):
            assert head.probability(torch.tensor(other)).item() == pytest.approx(1 / 3, abs=1e-3)

    def test_small_but_varying_logits_are_no_constants(self):
        logits = torch.linspace(-3, 3, 300)
        similar = torch.from_numpy(np.arange(300) % 7 > 2) & (logits > -1)
        slope, offset = fit_platt(logits, similar)
        small = fit_platt(logits * 1e-9, similar)
        assert small[0] * 1e-9 == pytest.approx(slope, rel=1e-4)
        assert small[1] == pytest.approx(offset, abs=1e-4)

    def test_one_kind_of_pair_gives_a_finite_answer(self):
        slope, offset = fit_platt(torch.zeros(8), torch.ones(8, dtype=torch.bool))
        assert (slope, offset) == (0.0, pytest.approx(np.log(9)))

    def test_starts_no_threads_of_autograd(self, monkeypatch):
        # Where there is a GPU, a process that has them cannot fork one that calibrates.
        monkeypatch.setattr(torch.autograd, "backward", lambda *_, **__: pytest.fail("autograd"))
        logits = torch.linspace(-3, 3, 300)
        assert fit_platt(logits, logits > 0)[0] > 1
