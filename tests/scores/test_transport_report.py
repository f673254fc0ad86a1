"""`transport_report` tells the floor, copies of codes and clouds of another law apart."""

import numpy as np
import pytest
from scipy.special import softmax

from ot_latent.scores import circulation, mode_coverage, transport_report


@pytest.fixture(scope="module")
def report():
    rng = np.random.default_rng(0)
    codes, held_out, fresh, other = rng.standard_normal((4, 2_000, 3))
    clouds = {"fresh": fresh, "copies": codes[::-1], "wide": 1.5 * other, "shifted": other + [1, 0, 0]}
    return transport_report(clouds, codes, held_out, block=250)


def test_points_of_the_same_law_are_at_the_floor(report):
    for name in ("codes", "fresh", "Gaussian fit"):
        found = report[name]
        for value, low, high in (found.ratio, found.spread, found.coverage, found.density, found.nearest):
            assert abs(value - 1) < 0.1 and high - low < 0.3
    assert report["codes"].ratio.value == 1


def test_clouds_of_another_law_are_above_it(report):
    for name in ("wide", "shifted"):
        assert report[name].ratio.low > 1.1
        assert report[name].coverage.high < 1
    assert report["shifted"].w2 > 0.9
    assert report["wide"].spread.low < 1.5 < report["wide"].spread.high
    assert report["wide"].density.high < 0.9


def test_copies_are_found(report):
    assert report["copies"].nearest.value == 0
    _, low, high = report["fresh"].nearest
    assert low < 1 < high and high - low < 0.2
    assert report["wide"].nearest.low > 1.1
    assert "times the floor" in str(report["fresh"])


def test_collapse_pleases_no_more_than_w2():
    """A cloud that shrinks, one that is a point, and one that leaves half of the law out."""
    rng = np.random.default_rng(0)
    codes, held_out, fresh = rng.standard_normal((3, 1_000, 100))
    half = fresh.copy()
    half[:, 0] = np.abs(half[:, 0])
    clouds = {"shrunk": 0.8 * fresh, "point": 1e-3 * fresh}
    report = transport_report(clouds, codes, held_out, block=500)
    assert report["shrunk"].ratio.high < 1 and report["point"].ratio.high < 1  # W2 prefers both
    assert report["shrunk"].spread.high < 0.85 and report["shrunk"].coverage.high < 0.2
    assert report["point"].coverage.value == 0
    assert report["shrunk"].density.low > 5
    modes = np.repeat([-10.0, 10.0], 500)[:, None]
    low = rng.standard_normal((3, 1_000, 2)) + modes
    left_out = transport_report({"half": low[2][:500].repeat(2, 0) + 1e-3 * fresh[:, :2]}, *low[:2], block=250)["half"]
    assert left_out.coverage.high < 0.6 and left_out.spread.high < 0.3


def convex_gradient(rng, d):
    """The gradient of a random input-convex function, log sum exp of planes and a square: an optimal map."""
    planes, heights = 2 * rng.standard_normal((8, d)), rng.standard_normal(8)
    return lambda z: 0.5 * z + softmax(z @ planes.T + heights, axis=1) @ planes


@pytest.mark.parametrize("d", [4, 16])
@pytest.mark.parametrize("kind", ["Gaussian", "input-convex"])
def test_known_maps_give_the_error_of_the_report(kind, d):
    """What the exact map makes of noise is at 1 in all ratios, about as often as 95 % intervals promise."""
    inside, errors = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        known = convex_gradient(rng, d) if kind == "input-convex" else lambda z: z * np.linspace(0.5, 2, d) + 3
        codes, held_out, mapped = known(rng.standard_normal((3, 600, d)).reshape(-1, d)).reshape(3, 600, d)
        mean = mapped.mean(0)
        found = transport_report({"exact": mapped, "flat": mean + 0.9 * (mapped - mean)}, codes, held_out, block=100)
        exact, flat = found["exact"], found["flat"]
        for value, low, high in (exact.ratio, exact.spread, exact.coverage, exact.density, exact.nearest):
            errors.append(abs(value - 1))
            inside.append(low <= 1 <= high)
        assert abs(flat.spread.value / exact.spread.value - 0.9) < 0.01
    assert np.mean(errors) < 0.08
    assert np.mean(inside) >= 0.75  # six blocks tell little of how they vary


def test_training_seeds_have_an_interval_of_their_own():
    rng = np.random.default_rng(0)
    codes, held_out, *fresh = rng.standard_normal((5, 1_000, 2))
    seeds = np.stack([scale * cloud for scale, cloud in zip((0.8, 1.0, 1.2), fresh, strict=True)])
    report = transport_report({"seeds": seeds, "one": seeds[:1]}, codes, held_out, block=250)
    alone = [transport_report({"one": cloud}, codes, held_out, block=250)["one"].spread.value for cloud in seeds]
    value, low, high = report["seeds"].spread
    assert value == pytest.approx(np.mean(alone), rel=0.02)
    assert low < 0.8 and high > 1.2  # Student's t of two degrees of freedom: 4.3 standard errors
    assert report["one"].spread.high - report["one"].spread.low < 0.2


def test_bad_input_is_named():
    codes = np.random.default_rng(0).standard_normal((100, 2))
    with pytest.raises(ValueError, match="two blocks of 80"):
        transport_report({}, codes, codes, block=80)
    with pytest.raises(ValueError, match="mapped must have 2 columns"):
        transport_report({"mapped": np.zeros((100, 3))}, codes, codes + 1, block=50)
    with pytest.raises(ValueError, match="mapped must hold at least 100 points, got 50"):
        transport_report({"mapped": codes[:50]}, codes, codes + 1, block=50)
    for block in (5, -50):
        with pytest.raises(ValueError, match="block must be at least 6"):
            transport_report({}, codes, codes, block=block)
    with pytest.raises(ValueError, match="reach must be positive and finite"):
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
