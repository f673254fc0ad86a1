"""The monotone map: it pushes source onto target, in both tails, and nothing is cheaper."""

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import linear_sum_assignment

from ot_latent import Gaussian, Uniform, monotone_map
from ot_latent.monotone import MonotoneMap

UNIT, SHIFTED, NORMAL = Uniform(-1, 1), Uniform(-0.3, 2.0), Gaussian(0.5, 2)
PAIRS = {
    "uniform midpoint": (UNIT.combine([0.5, 0.5]), UNIT),
    "uniform t=0.05": (SHIFTED.combine([0.05, 0.95]), SHIFTED),
    "uniform analogy": (SHIFTED.combine([-1, 1, 1]), SHIFTED),
    "uniform mean of five": (UNIT.combine([0.1, 0.15, 0.2, 0.25, 0.3]), UNIT),
    "uniform scaled": (UNIT.combine([-3]), SHIFTED),
    "gaussian": (NORMAL.combine([0.3, 0.7]), NORMAL),
    "uniform to gaussian": (UNIT, NORMAL),
    "sum of uniforms to gaussian": (UNIT.combine([0.2, 0.3, 0.5]), Gaussian()),
    "gaussian to uniform": (NORMAL, SHIFTED),
    "gaussian to trapezoid": (Gaussian(), UNIT.combine([0.3, 0.7])),
}
P = np.array([1e-12, 1e-8, 1e-4, 0.01, 0.2, 0.5])


@pytest.mark.parametrize(("source", "target"), PAIRS.values(), ids=PAIRS)
def test_map_sends_quantiles_to_quantiles(source, target):
    T = monotone_map(source, target)
    spread = target.var**0.5
    # 1e-6: a point of a bounded law 1e-12 from its end knows its tail to four digits only.
    assert T(source.icdf(P)) == pytest.approx(target.icdf(P), abs=1e-11 * spread, rel=1e-6)
    assert T(source.isf(P)) == pytest.approx(target.isf(P), abs=1e-11 * spread, rel=1e-6)


@pytest.mark.parametrize(("source", "target"), PAIRS.values(), ids=PAIRS)
def test_map_is_monotone_and_stays_in_the_support(source, target):
    T = monotone_map(source, target)
    low, high = target.support
    for dtype in (np.float64, np.float32, np.float16):
        ends = np.clip(source.support, -6, 6)
        x = np.linspace(*ends, 1001).astype(dtype)
        y = T(x)
        assert y.dtype == dtype
        wiggle = 50 * np.finfo(dtype).eps * 4
        assert np.all(np.diff(y.astype(float)) >= -wiggle)
        assert np.all((y >= dtype(low)) & (y <= dtype(high)))


@pytest.mark.parametrize(("source", "target"), PAIRS.values(), ids=PAIRS)
def test_derivative_and_torch_agree_with_numpy(source, target):
    T = monotone_map(source, target)
    x = source.icdf(np.linspace(0.0103, 0.9907, 41))
    h = 1e-5 * source.var**0.5
    difference = (T(x + h) - T(x - h)) / (2 * h)
    smooth = np.min(np.abs(x[:, None] - [*getattr(source, "knots", ()), 1e9]), axis=1) > 2 * h
    assert T.derivative(x)[smooth] == pytest.approx(difference[smooth], rel=1e-5)
    tensor = torch.tensor(x, requires_grad=True)
    mapped = T(tensor)
    assert mapped.detach().numpy() == pytest.approx(T(x), rel=1e-11, abs=1e-12)
    (slope,) = torch.autograd.grad(mapped.sum(), tensor)
    assert slope.numpy()[smooth] == pytest.approx(T.derivative(x)[smooth], rel=1e-8)
    assert T.derivative(tensor).detach().numpy() == pytest.approx(T.derivative(x), rel=1e-10)


@pytest.mark.parametrize(("source", "target"), PAIRS.values(), ids=PAIRS)
def test_gradients_are_finite_over_the_whole_support(source, target):
    low, high = source.icdf([1e-9, 1 - 1e-9])
    x = torch.linspace(low, high, 401, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(monotone_map(source, target)(x).sum(), x)
    assert torch.isfinite(slope).all() and (slope >= 0).all()


@pytest.mark.parametrize(("source", "target"), PAIRS.values(), ids=PAIRS)
def test_cost_is_the_area_between_the_distribution_functions(source, target):
    """E|T(Y) - Y| = ∫ |F_source - F_target|, which never mentions the map."""
    low = min(source.icdf(1e-14), target.icdf(1e-14))
    high = max(source.isf(1e-14), target.isf(1e-14))
    kinks = [*getattr(source, "knots", ()), *getattr(target, "knots", ())]
    inner = sorted({k for k in kinks if low < k < high})

    def gap(x):
        return abs(float(source.cdf(x)) - float(target.cdf(x)))

    area = quad(gap, low, high, points=inner or None, epsabs=1e-11, limit=400)[0]
    assert monotone_map(source, target).cost(1) == pytest.approx(area, abs=1e-8)


def test_cost_in_closed_form():
    # By hand, from Y = (Z1 + Z2)/2 on [-1, 1]: T(y) - y = y - y² for y > 0, with density 1 - y.
    T = monotone_map(UNIT.combine([0.5, 0.5]), UNIT)
    assert T.cost(1) == pytest.approx(1 / 6, rel=1e-12)
    assert T.cost(2) == pytest.approx(1 / 30, rel=1e-12)
    narrow, wide = Gaussian(1, 2), Gaussian(4, 3)
    T = monotone_map(narrow, wide)
    assert T.cost(2) == pytest.approx((4 - 1) ** 2 + (3 - 2) ** 2, rel=1e-12)
    for p in (1, 1.5, 3):
        assert T.cost(p) == pytest.approx(MonotoneMap(narrow, wide).cost(p), rel=1e-9)
    assert monotone_map(Gaussian(0, 1), Gaussian(2, 1)).cost(3) == 8
    assert monotone_map(UNIT, UNIT).cost(1) == 0


def test_cost_of_batched_maps():
    weights = np.array([[0.5, 1.0], [0.5, 0.0], [0.0, 0.0]])
    assert monotone_map(UNIT.combine(weights), UNIT).cost(1) == pytest.approx([1 / 6, 0], abs=1e-12)
    for prior in (UNIT, NORMAL):
        with pytest.raises(TypeError, match="cost is for one law"):
            monotone_map(prior.combine(weights[:2]), prior).cost()
    with pytest.raises(TypeError, match="p must be a real number"):
        monotone_map(UNIT, UNIT).cost("2")
    for p in (0.5, 0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match="p must be at least 1"):
            monotone_map(UNIT, UNIT).cost(p)


@pytest.mark.parametrize("law", ["gaussian", Gaussian, scipy.stats.norm(), torch.distributions.Normal(0.0, 1.0)])
def test_what_is_no_law_is_refused(law):
    with pytest.raises(TypeError, match="source must be a law"):
        monotone_map(law, UNIT)
    with pytest.raises(TypeError, match="target must be a law"):
        monotone_map(UNIT, law)


@pytest.mark.parametrize("p", [1, 1.5, 2, 4])
def test_no_coupling_of_samples_is_cheaper_than_sorting(p):
    """Theorem 2 on samples: the assignment problem, solved exactly, cannot beat the sorted one."""
    rng = np.random.default_rng(0)
    y = UNIT.combine([0.5, 0.5]).sample(200, rng)
    z = UNIT.sample(200, rng)
    costs = np.abs(y[:, None] - z[None, :]) ** p
    rows, columns = linear_sum_assignment(costs)
    best = costs[rows, columns].mean()
    assert np.mean(np.abs(np.sort(y) - np.sort(z)) ** p) == pytest.approx(best, rel=1e-12)
    assert np.mean(np.abs(y - z) ** p) > 1.5 * best  # an unsorted coupling is far dearer


@pytest.mark.parametrize("prior", [UNIT, SHIFTED, NORMAL, Uniform(0.1, 0.7)], ids=repr)
@pytest.mark.parametrize("weights", [[1.0], [1, 0], [0, 1, 0]], ids=str)
def test_identity_is_exact(prior, weights):
    for dtype in (np.float64, np.float32):
        z = prior.sample(1000, rng=0, like=np.zeros(1, dtype))
        assert (monotone_map(prior.combine(weights), prior)(z) == z).all()


def test_identity_is_exact_with_a_uniform_law_for_each_entry():
    prior = Uniform([0, -1], [1, 2])
    z = prior.sample((5, 2), rng=0)
    assert (monotone_map(prior.combine([1, 0]), prior)(z) == z).all()


weight = st.floats(0.01, 3).flatmap(lambda w: st.sampled_from([w, -w]))


@settings(max_examples=60, deadline=None)
@given(st.lists(weight, min_size=1, max_size=5), st.floats(-1, 1))
def test_map_is_odd_for_centred_priors(weights, place):
    for prior in (UNIT, Gaussian()):
        law = prior.combine(weights)
        T = monotone_map(law, prior)
        x = place * 3 * law.var**0.5
        assert float(T(-x)) == pytest.approx(-float(T(x)), abs=1e-12)


def test_gradcheck_in_points_and_weights():
    x = torch.tensor([-0.93, -0.4, 0.0, 0.2, 0.6, 0.9], dtype=torch.float64, requires_grad=True)
    weights = torch.tensor([0.7, 0.31], dtype=torch.float64, requires_grad=True)
    for prior in (UNIT, SHIFTED, NORMAL):

        def match(x, weights, prior=prior):
            return monotone_map(prior.combine(weights), prior)(x)

        assert torch.autograd.gradcheck(match, (x, weights))


def test_representation_names_both_laws():
    text = repr(monotone_map(UNIT.combine([0.3, 0.7]), UNIT))
    assert "Trapezoid(center=0.0, wide=0.7, narrow=0.3) -> Uniform(low=-1.0, high=1.0)" in text
