"""Calibration: recovers what was planted, keeps the ranking, falls back to the base rate."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from fec_cache.evaluation.measures.reliability import reliability
from fec_cache.heads.base import NUM_BENDS
from fec_cache.heads.calibration import fit_calibration, fit_platt
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head


class TestCalibration:
    def test_recovers_slope_and_offset(self):
        head = build_head(HeadConfig(), 4)
        generator = torch.Generator().manual_seed(0)
        logits = torch.randn(60_000, generator=generator) * 4
        probability = torch.sigmoid(0.5 * logits - 0.7)
        similar = torch.rand(60_000, generator=generator) < probability
        fit_calibration(head, logits, similar)
        shown = torch.linspace(-8, 8, 50)
        wanted = torch.sigmoid(0.5 * shown - 0.7)
        torch.testing.assert_close(head.probability(shown), wanted, atol=0.015, rtol=0)

    def test_never_turns_the_ranking_around(self):
        head = build_head(HeadConfig(), 4)
        logits = torch.linspace(-3, 3, 500)
        fit_calibration(head, logits, logits < 0)
        assert head.calibration[0] >= 0
        assert torch.isfinite(head.calibration).all()
        assert (head.log_odds(logits.double()).diff() >= 0).all()

    def test_survives_perfect_and_constant_logits(self):
        for logits in (torch.linspace(-3, 3, 100), torch.zeros(100)):
            head = build_head(HeadConfig(), 4)
            fit_calibration(head, logits, torch.arange(100) >= 50)
            assert torch.isfinite(head.calibration).all()
            assert torch.isfinite(head.bends).all()

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
        fit_calibration(build_head(HeadConfig(), 4), logits, logits > 0)


def bent(logits):
    """Log odds that hardly rise up to 0 and steeply from there, as of distances near nought."""
    return 0.1 * logits - 1.0 + 1.9 * logits.clamp(min=0.0)


def drawn(num, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(num, generator=generator) * 1.5
    similar = torch.rand(num, generator=generator) < torch.sigmoid(bent(logits))
    return logits, similar


class TestBends:
    def test_a_bent_line_is_found_where_one_slope_is_off(self):
        head = build_head(HeadConfig(), 4)
        fit_calibration(head, *drawn(20_000))
        logits, similar = drawn(20_000, seed=1)
        found = head.probability(logits).numpy()
        slope, offset = fit_platt(logits, similar)
        straight = torch.sigmoid(slope * logits + offset).numpy()
        assert reliability(found, similar.numpy()).error < 0.015
        assert reliability(straight, similar.numpy()).error > 0.03
        shown = torch.linspace(-2.5, 2.5, 40)
        wanted = torch.sigmoid(bent(shown))
        torch.testing.assert_close(head.probability(shown), wanted, atol=0.05, rtol=0)

    def test_equals_scipys_minimum(self):
        head = build_head(HeadConfig(), 4)
        logits, similar = drawn(900)
        fit_calibration(head, logits, similar)
        x, y = logits.double().numpy(), similar.numpy()
        knots = head.bends[:, 0].numpy().astype(float)
        unit = x.std()

        def odds(guess):
            slopes = np.exp(guess[:-1]) / unit
            terms = np.maximum(x[:, None] - knots, 0.0) @ np.diff(slopes)
            return guess[-1] + slopes[0] * x + terms

        def loss(guess):
            z = odds(guess)
            return np.mean(np.logaddexp(0, z) - y * z) + (np.diff(guess[:-1]) ** 2).sum() / len(y)

        wanted = odds(minimize(loss, np.zeros(NUM_BENDS + 2), tol=1e-12).x)
        assert head.log_odds(logits.double()).numpy() == pytest.approx(wanted, abs=5e-3)

    def test_a_few_pairs_give_nearly_a_straight_line(self):
        head = build_head(HeadConfig(), 4)
        logits, similar = drawn(30)
        fit_calibration(head, logits, similar)
        slope, offset = fit_platt(logits, similar)
        straight = torch.sigmoid(slope * logits + offset)
        torch.testing.assert_close(head.probability(logits), straight, atol=0.2, rtol=0)

    @given(st.integers(0, 10_000), st.integers(3, 200))
    @settings(max_examples=25)
    def test_order_is_kept_whatever_the_pairs_say(self, seed, num):
        generator = torch.Generator().manual_seed(seed)
        logits = (torch.randn(num, generator=generator) * 3).round(decimals=seed % 3)
        head = build_head(HeadConfig(), 4)
        fit_calibration(head, logits, torch.rand(num, generator=generator) < 0.4)
        odds = head.log_odds(torch.linspace(-9, 9, 200, dtype=torch.float64))
        assert torch.isfinite(odds).all()
        assert (odds.diff() >= 0).all()

    def test_a_head_from_before_answers_as_before(self, tmp_path):
        head = build_head(HeadConfig(hidden=(3,)), 4)
        head.calibration.copy_(torch.tensor([1.5, -0.5]))
        state = {name: part for name, part in head.state_dict().items() if name != "bends"}
        fresh = build_head(HeadConfig(hidden=(3,)), 4)
        fresh.load_state_dict({"bends": fresh.bends, **state})
        logits = torch.linspace(-3, 3, 9)
        wanted = torch.sigmoid(1.5 * logits - 0.5)
        torch.testing.assert_close(fresh.probability(logits), wanted)
