"""`transport_report` tells the floor, copies of codes and clouds of another law apart."""

import numpy as np
import pytest

from ot_latent.scores import circulation, mode_coverage, transport_report


@pytest.fixture(scope="module")
def report():
    rng = np.random.default_rng(0)
    codes, held_out, fresh, other = rng.standard_normal((4, 2_000, 3))
    clouds = {"fresh": fresh, "copies": codes[::-1], "wide": 1.5 * other, "shifted": other + [1, 0, 0]}
    return transport_report(clouds, codes, held_out, block=250)


def test_points_of_the_same_law_are_at_the_floor(report):
    for name in ("codes", "fresh", "Gaussian fit"):
        low, high = report[name].ratio_interval
        assert low <= 1 <= high and high - low < 0.3
    assert report["codes"].ratio == 1


def test_clouds_of_another_law_are_above_it(report):
    for name in ("wide", "shifted"):
        assert report[name].ratio_interval[0] > 1.1
    assert report["shifted"].w2 > 0.9


def test_copies_are_found(report):
    assert report["copies"].nearest == 0
    low, high = report["fresh"].nearest_interval
    assert low < 1 < high and high - low < 0.2
    assert report["wide"].nearest_interval[0] > 1.1
    assert "times the floor" in str(report["fresh"])


def test_bad_input_is_named():
    codes = np.random.default_rng(0).standard_normal((100, 2))
    with pytest.raises(ValueError, match="two blocks of 80"):
        transport_report({}, codes, codes, block=80)
    with pytest.raises(ValueError, match="mapped must have 2 columns"):
        transport_report({"mapped": np.zeros((100, 3))}, codes, codes + 1, block=50)
    with pytest.raises(ValueError, match="mapped must hold at least 100 points, got 50"):
        transport_report({"mapped": codes[:50]}, codes, codes + 1, block=50)
    for block in (0, -50):
        with pytest.raises(ValueError, match="block must be at least 1"):
            transport_report({}, codes, codes, block=block)
    with pytest.raises(ValueError, match="reach must be a positive"):
        mode_coverage(codes, codes, float("nan"))
    with pytest.raises(ValueError, match="steps must be at least 1"):
        circulation(np.cos, np.zeros((1, 4, 3)), steps=0)


def test_modes_that_are_missed_or_uneven_are_seen():
    centers = np.array([[0.0, 0], [10, 0], [0, 10]])
    points = np.repeat(centers, [100, 100, 200], axis=0) + [0.5, 0]
    coverage = mode_coverage(np.r_[points, [[5, 5]] * 100], centers, reach=1)
    assert coverage.within == 0.8
    np.testing.assert_allclose(coverage.shares, [0.6 + 0.6, 0.6, 1.2])


def test_a_curl_is_found_and_a_gradient_has_none():
    squares = np.random.default_rng(0).standard_normal((10, 4, 3))
    assert circulation(lambda x: np.cos(x), squares) < 1e-5
    assert circulation(lambda x: np.cos(x @ np.eye(3)[[1, 2, 0]]), squares) > 0.1
