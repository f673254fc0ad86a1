"""Laws of one coordinate: against exact fractions, scipy's laws, and their own inverses."""

import copy
import math
import pickle
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ot_latent import Gaussian, Product, ScipyPrior, Uniform, combine, monotone_map, sum_law
from ot_latent.priors.laws import Law, LawPerEntry, Prior
from ot_latent.priors.uniform import Trapezoid
from ot_latent.priors.uniform_sums import UniformSum

UNIT = Uniform(-1, 1)
SHIFTED = Uniform(-0.3, 2.0)
TAIL = [0.0, 1e-300, 1e-100, 1e-15, 1e-6, 0.01, 0.2, 0.4999, 0.5]
WEIGHTS = {
    "midpoint": [0.5, 0.5],
    "step": [0.95, 0.05],
    "nearly one": [1.0, 1e-9],
    "analogy": [-1.0, 1.0, 1.0],
    "three": [0.2, 0.3, 0.5],
    "four equal": [0.25] * 4,
    "tiny among large": [1.0, 1e-12, 0.3, 1e-3],
    "eight unequal": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8],
    "one dominates": [8.0, 0.1, 0.2, 0.3, 0.05],
    "sixteen equal": [1 / 16] * 16,
}


def exact_cdf(half_widths, x):
    """F(x) of a sum of centred uniforms by its signed sum of powers, in fractions."""
    widths = [Fraction(a) for a in half_widths]
    k, total = len(widths), Fraction(0)
    if len(set(widths)) == 1:  # equal widths: count the signs instead of listing 2^k of them
        a = widths[0]
        for minus in range(k + 1):
            corner = Fraction(x) + a * (k - 2 * minus)
            total += (-1) ** minus * math.comb(k, minus) * max(Fraction(0), corner) ** k
    else:
        for signs in product((-1, 1), repeat=k):
            corner = Fraction(x) + sum(s * a for s, a in zip(signs, widths, strict=True))
            total += math.prod(signs) * max(Fraction(0), corner) ** k
    return total / (math.factorial(k) * 2**k * math.prod(widths))


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
def test_sum_of_uniforms_is_exact_in_bulk_and_tails(weights):
    law = UNIT.combine(weights)
    reach = math.fsum(abs(w) for w in weights)
    inward = np.concatenate([np.geomspace(1e-4, 0.5, 25), np.linspace(0.5, 1, 26)])
    for x in -reach * (1 - inward):
        expected = exact_cdf([abs(w) for w in weights], float(x))
        assert float(law.cdf(float(x))) == pytest.approx(float(expected), rel=2e-11)
        assert float(law.sf(-float(x))) == pytest.approx(float(expected), rel=2e-11)


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
def test_density_is_the_derivative_and_moments_agree(weights):
    law = SHIFTED.combine(weights)
    ends = sorted(set(law.knots))
    mass = mean = square = 0.0
    for low, high in zip(ends, ends[1:], strict=False):
        nodes, node_weights = np.polynomial.legendre.leggauss(12)
        x = low + (high - low) * (nodes + 1) / 2
        density = law.pdf(x) * node_weights * (high - low) / 2
        assert density.sum() == pytest.approx(law.cdf(high) - law.cdf(low), abs=2e-13)
        mass, mean = mass + density.sum(), mean + density @ x
        square += density @ (x - law.mean) ** 2
    assert mass == pytest.approx(1, abs=1e-12)
    assert mean == pytest.approx(law.mean, abs=1e-11)
    assert square == pytest.approx(law.var, rel=1e-10)
    assert law.var == pytest.approx(SHIFTED.var * sum(w * w for w in weights), rel=1e-13)
    assert law.support == pytest.approx((ends[0], ends[-1]), abs=1e-12)


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
def test_inverse_of_a_sum_of_uniforms(weights):
    law = UNIT.combine(weights)
    low, high = law.support
    p = np.array(TAIL[4:])
    # 1e-11: in the far tail F is as steep as x^k, so a last digit of x costs k digits of F.
    assert law.cdf(law.icdf(p)) == pytest.approx(p, rel=1e-11)
    assert law.sf(law.isf(p)) == pytest.approx(p, rel=1e-11)
    assert law.cdf(law.icdf(1 - p)) == pytest.approx(1 - p, rel=1e-13)
    tail = law.icdf(np.array(TAIL))
    assert np.all(np.diff(tail) >= 0) and np.all((tail >= low) & (tail <= high))
    assert law.icdf([0.0, 1.0]) == pytest.approx([low, high], abs=1e-15 * high)
    assert np.isnan(law.icdf([-0.1, 1.1, np.nan])).all()


def test_gaussian_and_uniform_agree_with_scipy():
    x = np.linspace(-30, 30, 121)
    pairs = [(Gaussian(0.5, 2), scipy.stats.norm(0.5, 2)), (Uniform(-3, 4), scipy.stats.uniform(-3, 7))]
    for ours, scipys in pairs:
        for name in ("pdf", "cdf", "sf"):
            assert getattr(ours, name)(x) == pytest.approx(getattr(scipys, name)(x), rel=1e-12)
        p = np.array(TAIL)
        assert ours.icdf(p) == pytest.approx(scipys.ppf(p), rel=1e-12)
        assert ours.isf(p) == pytest.approx(scipys.isf(p), rel=1e-12)
        assert (ours.mean, ours.var) == pytest.approx((scipys.mean(), scipys.var()))
        assert ours.support == scipys.support()


def test_combine_chooses_the_simplest_law():
    assert UNIT.combine([2.0]) == UNIT.combine([0, -2, 0]) == Uniform(-2, 2)
    assert SHIFTED.combine([1, 0]) == SHIFTED
    assert UNIT.combine([-0.3, 0.7]) == Trapezoid(0.0, 0.7, 0.3)
    assert isinstance(UNIT.combine([1, 2, 3]), UniformSum)
    assert UNIT.combine([1, 1e-40]) == UNIT  # far below the resolution of float64
    assert Gaussian(1, 2).combine([3, -4]) == Gaussian(-1, 10)
    assert Gaussian(1, 2).combine([0, 1]) == Gaussian(1, 2)
    for law in (UNIT, SHIFTED, Gaussian()):
        assert isinstance(law, Prior) and isinstance(law, Law)
    for weights in ([0.5, 0.5], [1, 2, 3], [[1, 0], [0, 1], [1, 1]]):
        assert isinstance(UNIT.combine(weights), Law)


@pytest.mark.parametrize("prior", [SHIFTED, Gaussian(0.5, 2)], ids=repr)
@pytest.mark.parametrize("k", [1, 2, 3])
def test_batched_weights_are_one_law_per_entry(prior, k):
    weights = np.array([[0.2, 1.0, 0.5, 0.2], [0.7, 0.0, 0.5, 0.7], [0.1, 0.0, 0.0, 0.1]])[:k]
    law, x = prior.combine(weights), np.linspace(-2, 3, 11)[:, None]
    p = np.linspace(0.05, 0.95, 7)[:, None]
    for i, column in enumerate(weights.T):
        one = prior.combine(column)
        assert law.cdf(x)[:, i] == pytest.approx(one.cdf(x[:, 0]), rel=1e-13)
        assert law.sf(x)[:, i] == pytest.approx(one.sf(x[:, 0]), rel=1e-13)
        assert law.pdf(x)[:, i] == pytest.approx(one.pdf(x[:, 0]), rel=1e-13)
        assert law.icdf(p)[:, i] == pytest.approx(one.icdf(p[:, 0]), rel=1e-13)
        assert law.isf(p)[:, i] == pytest.approx(one.isf(p[:, 0]), rel=1e-13)
        assert law.mean[i] == pytest.approx(one.mean) and law.var[i] == pytest.approx(one.var)
        ends = np.broadcast_arrays(*law.support, np.zeros(4))[:2]
        assert [end[i] for end in ends] == pytest.approx(one.support)
    if k == 3 and isinstance(prior, Uniform):
        assert isinstance(law, LawPerEntry) and len(law.laws) == 3  # of four columns, two alike
        assert "3 laws" in repr(law)


laws = st.lists(st.floats(-4, 4).filter(lambda w: w == 0 or abs(w) > 1e-6), min_size=1, max_size=6).filter(any)


@settings(max_examples=60, deadline=None)
@given(laws, st.lists(st.floats(-30, 30), min_size=2, max_size=20))
def test_distribution_function_properties(weights, x):
    law = UNIT.combine(weights)
    x = np.sort(x)
    cdf = law.cdf(x)
    assert np.all(np.diff(cdf) >= -1e-14) and np.all((cdf >= 0) & (cdf <= 1))
    assert law.pdf(x).min() >= -1e-14 / law.support[1]
    assert law.sf(x) == pytest.approx(law.cdf(-x), rel=1e-12)  # symmetric about 0
    assert cdf + law.sf(x) == pytest.approx(np.ones_like(x))
    assert UNIT.combine(weights[::-1]).cdf(x) == pytest.approx(cdf, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("weights", [[1.0], [0.3, 0.7], [0.2, 0.3, 0.5]], ids=len)
@pytest.mark.parametrize("prior", [SHIFTED, Gaussian(0.5, 2)], ids=repr)
def test_numpy_and_torch_agree(prior, weights):
    law = prior.combine(weights)
    x = np.linspace(-2, 3, 101)
    p = np.linspace(0.001, 0.999, 101)
    for name, points in [("pdf", x), ("cdf", x), ("sf", x), ("icdf", p), ("isf", p)]:
        expected = getattr(law, name)(points)
        for dtype, rel in [(torch.float64, 1e-12), (torch.float32, 2e-5), (torch.bfloat16, 0.02)]:
            if dtype is torch.bfloat16:  # compare at the rounded points
                rounded = torch.tensor(points).bfloat16()
                expected = getattr(law, name)(rounded.double().numpy())
            else:
                rounded = torch.tensor(points, dtype=dtype)
            ours = getattr(law, name)(rounded)
            assert ours.dtype == dtype
            assert ours.double().numpy() == pytest.approx(expected, rel=rel, abs=rel)
        assert getattr(law, name)(points.astype(np.float16)).dtype == np.float16


def test_gradients_of_the_laws():
    # Away from the knots, where the second derivative that gradcheck's difference needs exists.
    x = torch.tensor([-0.9, -0.51, -0.3, 0.0, 0.25, 0.5, 0.93], dtype=torch.float64)
    p = torch.tensor([1e-3, 0.2, 0.41, 0.7, 0.999], dtype=torch.float64)
    x.requires_grad_(), p.requires_grad_()
    weights = torch.tensor([0.3, 0.71], dtype=torch.float64, requires_grad=True)
    for prior in (UNIT, Gaussian()):
        assert torch.autograd.gradcheck(lambda x, w, p=prior: p.combine(w).cdf(x), (x, weights))
        assert torch.autograd.gradcheck(lambda q, w, p=prior: p.combine(w).isf(q), (p, weights))
    law = UNIT.combine([0.2, 0.31, 0.53])
    assert torch.autograd.gradcheck(law.cdf, x)
    assert torch.autograd.gradcheck(law.icdf, p)


def test_gradients_are_finite_where_a_weight_vanishes():
    weights = torch.tensor([[1.0, 0.5], [0.0, 0.5]], dtype=torch.float64, requires_grad=True)
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None].requires_grad_()
    UNIT.combine(weights).cdf(x).sum().backward()
    assert torch.isfinite(weights.grad).all() and torch.isfinite(x.grad).all()


@pytest.mark.parametrize("weights", [[1.0], [0.3, 0.7], [-1, 1, 1]], ids=len)
@pytest.mark.parametrize("prior", [SHIFTED, Gaussian(0.5, 2)], ids=repr)
def test_samples_follow_their_law(prior, weights):
    # n = 100,000 at level 1e-4: the critical distance is 0.007, and by the DKW inequality a law
    # at a distance of 0.014 or more would be caught with probability above 1 - 1e-8.
    law = prior.combine(weights)
    for like in (None, torch.zeros(1)):
        draws = law.sample(100_000, rng=7, like=like)
        assert scipy.stats.kstest(np.asarray(draws, dtype=float), law.cdf).pvalue > 1e-4


def test_samples_of_batched_laws_follow_each_law():
    law = UNIT.combine([[1, 0.5], [0, 0.5], [0, 1]])
    draws = law.sample((100_000, 2), rng=0)
    for i in range(2):
        assert scipy.stats.kstest(draws[:, i], law.laws[law.index[i]].cdf).pvalue > 1e-4


@pytest.mark.parametrize("prior", [UNIT, Gaussian()], ids=repr)
def test_sample_seeds_kinds_and_dtypes(prior):
    assert prior.sample((2, 3), rng=0).dtype == np.float64
    assert (prior.sample(5, rng=0) == prior.sample((5,), rng=0)).all()
    rng = np.random.default_rng(0)
    assert (prior.sample(5, rng) != prior.sample(5, rng)).all()
    like = torch.zeros(1, dtype=torch.float16)
    assert prior.sample(5, rng=0, like=like).dtype == torch.float16
    assert (prior.sample(5, rng=0, like=like) == prior.sample(5, rng=0, like=like)).all()
    same = prior.sample(5, np.random.default_rng(0), like=torch.zeros(1, dtype=torch.float64))
    assert (same.numpy() == prior.sample(5, rng=0)).all()
    torch_rng = torch.Generator().manual_seed(0)
    assert isinstance(prior.sample(5, torch_rng), torch.Tensor)
    torch.manual_seed(1)
    first = prior.sample(5, like=like)
    torch.manual_seed(1)
    assert (first == prior.sample(5, like=like)).all()
    assert prior.sample(5, rng=0, like=np.zeros(1, np.float32)).dtype == np.float32
    with pytest.raises(TypeError, match="rng must be None, an int"):
        prior.sample(5, rng=True)
    with pytest.raises(TypeError, match="numpy array"):
        prior.sample(5, torch_rng, like=np.zeros(1))


class Zeros(np.random.Generator):
    """A generator whose uniform numbers are all 0, the one in 2^24 or 2^53 that has no quantile."""

    def random(self, size=None, dtype=np.float64, out=None):
        return np.zeros(size, dtype)


@pytest.mark.parametrize("law", [scipy.stats.laplace(), scipy.stats.cauchy(), scipy.stats.t(0.3)], ids=range(3))
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_draws_are_finite_where_a_uniform_number_is_zero(law, dtype):
    prior, like = ScipyPrior(law), torch.zeros((), dtype=getattr(torch, dtype))
    draws = prior.sample(3, Zeros(np.random.PCG64(0)), like=like)
    assert draws.dtype == like.dtype and torch.isfinite(draws).all()
    half_a_step = 2.0**-54 if dtype == "float64" else 2.0**-25
    quantile = max(law.ppf(half_a_step), -torch.finfo(like.dtype).max)
    assert draws.double().numpy() == pytest.approx(quantile, rel=0.01)
    assert torch.isfinite(prior.sample(100_000, rng=0, like=like)).all()


def test_copies_are_equal_by_value_and_have_equal_hashes():
    laws = [UNIT, Gaussian([0, 1], 2), Uniform(0, [1, 2]), UNIT.combine([[0.5, 1], [0.5, 2]]), UNIT.combine([1, 2, 3])]
    laws += [Gaussian(torch.tensor([0.0, 1.0])), UNIT.combine(np.eye(3)), Product([UNIT, Gaussian()])]
    laws += [ScipyPrior(scipy.stats.laplace()), ScipyPrior(scipy.stats.gamma(2)), ScipyPrior(scipy.stats.t(1.5))]
    for i, law in enumerate(laws):
        for again in (pickle.loads(pickle.dumps(law)), copy.copy(law), copy.deepcopy(law)):
            assert again == law and hash(again) == hash(law)
        assert [law == other for other in laws] == [i == j for j in range(len(laws))]
    assert ScipyPrior(scipy.stats.gamma(2)) == laws[-2] != ScipyPrior(scipy.stats.gamma(2, scale=2))
    assert monotone_map(pickle.loads(pickle.dumps(laws[-2])), laws[-2])(0.1) == 0.1
    z = np.ones((1, 2))
    array = combine([z, z], [3, 4], prior=Gaussian(), laws=[Gaussian([0, 1], 1), Gaussian(0, [1, 2])])
    assert array == pytest.approx(np.array([[7 / 5, 4 / 73**0.5]]))  # 3 N([0, 1], 1) + 4 N(0, [1, 4])


def test_uniform_samples_stay_inside():
    narrow = Uniform(0.1, 0.1 + 1e-6)
    like = np.zeros(1, np.float32)
    draws = narrow.sample(10_000, rng=0, like=like)
    assert draws.min() >= np.float32(narrow.low) and draws.max() <= np.float32(narrow.high)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Uniform(1, 1), "high - low must be positive"),
        (lambda: Uniform(0, np.inf), "high must be finite"),
        (lambda: Gaussian(0, 0), "std must be positive"),
        (lambda: Gaussian(np.nan, 1), "mean must be finite"),
        (lambda: Uniform(-1e308, 1e308), "high - low must be finite"),
        (lambda: UNIT.sample(-5), "shape must be a whole number >= 0, or several, got -5"),
        (lambda: Gaussian().sample((2, -5)), r"got \(2, -5\)"),
        (lambda: Gaussian().sample(2.5), "got 2.5"),
        (lambda: UNIT.combine([]), "one entry per point"),
        (lambda: UNIT.combine(0.5), "one entry per point"),
        (lambda: UNIT.combine([0, 0]), "must not all be zero"),
        (lambda: Gaussian().combine([[0, 1], [0, 1]]), "must not all be zero"),
        (lambda: UNIT.combine([1, np.nan]), "weights must be finite"),
    ],
)
def test_value_errors_name_the_argument(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Uniform("a", 1), "low must be a number"),
        (lambda: Gaussian("0", "1"), "real numbers; got str"),
        (lambda: Gaussian(1j), "real numbers; got complex"),
        (lambda: Product([Gaussian([0, 1]), UNIT]), "law of one coordinate"),
        (lambda: sum_law([Uniform([0, 1], 2), Gaussian()], [1, 1]), "single numbers as parameters unless"),
        (lambda: UNIT.combine(torch.ones(3, requires_grad=True)), "must not require a gradient"),
        (lambda: Uniform(np.zeros(2), 1).combine([1, 1, 1]), "single numbers"),
        (lambda: UNIT.combine(torch.ones(2, 3)).cdf(np.zeros(3)), "must be a torch tensor"),
        (lambda: UNIT.cdf(np.arange(3)), "x must be floating"),
    ],
)
def test_type_errors_name_the_argument(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_sixty_four_equal_weights():
    law = UNIT.combine([1 / 64] * 64)
    for x in (-0.9, -0.5, -0.2, -0.1, -0.01):
        assert float(law.cdf(x)) == pytest.approx(float(exact_cdf([1 / 64] * 64, x)), rel=1e-10)
