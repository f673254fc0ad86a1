"""The operations: their laws, by tests of known power, and what they promise about arrays.

Power. Every statistical test below is a Kolmogorov-Smirnov test at level 1e-4 with a fixed seed.
With n values its critical distance is c = 2.23/√n; a law at distance D > c from the prior passes
with probability at most 2 exp(-2n (D - c)²) (Dvoretzky-Kiefer-Wolfowitz, Massart's constant).

- Coordinates, n = 200,000: c = 0.0050. The closest raw alternative that is tested, the Gaussian
  interpolation at t = 0.05, has D = 0.012: it passes with probability below 1e-8. All others are
  farther away.
- Squared norms, n = 4,000 and d = 50: c = 0.036. Raw sums have D > 0.3; midpoints of slerp, which
  match the mean, have D = 0.083: both pass with probability below 1e-7.

`test_raw_operations_are_rejected` shows that these alternatives are indeed rejected.
"""

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ot_latent as otl

UNIT, SHIFTED = otl.Uniform(-1, 1), otl.Uniform(-0.3, 2.0)
PRIORS = [UNIT, SHIFTED, otl.Gaussian(), otl.Gaussian(0.5, 2)]
SHAPE = (4000, 50)

OPERATIONS = {
    **{
        f"interpolate t={t}": lambda z, prior, t=t: otl.interpolate(z[0], z[1], t, prior=prior)
        for t in (0.05, 0.25, 0.5, 0.9, 1.3)
    },
    "mean of three": lambda z, prior: otl.combine(z[:3], [1 / 3] * 3, prior=prior),
    "unequal four": lambda z, prior: otl.combine(z, [0.4, 0.3, 0.2, 0.1], prior=prior),
    "negative weights": lambda z, prior: otl.combine(z[:3], [1.5, -0.7, 0.2], prior=prior),
    "vicinity eps=0.5": lambda z, prior: otl.vicinity(z[0], 0.5, noise=z[1], prior=prior),
    "vicinity eps=-2": lambda z, prior: otl.vicinity(z[0], -2.0, noise=z[1], prior=prior),
    "analogy": lambda z, prior: otl.analogy(z[0], z[1], z[2], prior=prior),
    "random walk": lambda z, prior: otl.random_walk(z[0], 3, 0.4, noise=z[1:], prior=prior)[-1],
}


def coordinates_follow(y, prior):
    return scipy.stats.kstest(np.asarray(y, dtype=float).ravel(), prior.cdf).pvalue > 1e-4


def norms_follow(y, prior):
    """Squared norms about the mean: exact chi-square for a Gaussian, else 40,000 fresh points."""
    norms = ((np.asarray(y, dtype=float) - prior.mean) ** 2).sum(-1) / prior.var
    if isinstance(prior, otl.Gaussian):
        return scipy.stats.kstest(norms, scipy.stats.chi2(SHAPE[1]).cdf).pvalue > 1e-4
    fresh = prior.sample((40_000, SHAPE[1]), rng=99)
    fresh = ((fresh - prior.mean) ** 2).sum(-1) / prior.var
    return scipy.stats.ks_2samp(norms, fresh).pvalue > 1e-4


@pytest.mark.parametrize("prior", PRIORS, ids=repr)
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_matched_operations_follow_the_prior(operation, prior):
    z = prior.sample((4, *SHAPE), rng=5)
    y = operation(z, prior)
    assert coordinates_follow(y, prior)
    assert norms_follow(y, prior)
    low, high = prior.support
    assert np.all((y >= low) & (y <= high))


@pytest.mark.parametrize("prior", PRIORS, ids=repr)
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_raw_operations_are_rejected(operation, prior):
    z = prior.sample((4, *SHAPE), rng=5)
    assert not coordinates_follow(operation(z, None), prior)


@pytest.mark.parametrize("prior", [UNIT, otl.Gaussian()], ids=repr)
def test_midpoints_of_linear_and_slerp_are_rejected_by_their_norms(prior):
    z1, z2 = prior.sample((2, *SHAPE), rng=5)
    assert not norms_follow(otl.interpolate(z1, z2, 0.5), prior)
    assert not norms_follow(otl.slerp(z1, z2, 0.5), prior)
    assert norms_follow(z1, prior)


@pytest.mark.parametrize("prior", [UNIT, otl.Gaussian()], ids=repr)
@pytest.mark.parametrize("kind", ["a path", "one t per sample", "torch float32", "image"])
def test_matched_interpolation_follows_the_prior_in_every_shape(prior, kind):
    rng = np.random.default_rng(8)
    if kind == "a path":
        z1, z2 = prior.sample((2, *SHAPE), rng)
        path = otl.interpolate(z1, z2, np.linspace(0, 1, 5)[:, None, None], prior=prior)
        assert path.shape == (5, *SHAPE)
        assert all(coordinates_follow(y, prior) and norms_follow(y, prior) for y in path)
    elif kind == "one t per sample":
        z1, z2 = prior.sample((2, *SHAPE), rng)
        y = otl.interpolate(z1, z2, rng.random((SHAPE[0], 1)), prior=prior)
        assert coordinates_follow(y, prior) and norms_follow(y, prior)
    elif kind == "torch float32":
        z1, z2 = prior.sample((2, *SHAPE), rng, like=torch.zeros(1))
        y = otl.interpolate(z1, z2, 0.3, prior=prior)
        assert y.dtype == torch.float32
        assert coordinates_follow(y, prior) and norms_follow(y, prior)
    else:
        z1, z2 = prior.sample((2, 50, 4, 32, 32), rng)
        assert coordinates_follow(otl.interpolate(z1, z2, 0.3, prior=prior), prior)


def test_raw_operations_are_the_formulas_of_table_1():
    z1, z2, z3 = UNIT.sample((3, 5, 4), rng=0)
    assert otl.interpolate(z1, z2, 0.3) == pytest.approx(0.3 * z1 + 0.7 * z2)
    assert (otl.interpolate(z1, z2, 1) == z1).all() and (otl.interpolate(z1, z2, 0) == z2).all()
    assert otl.vicinity(z1, 0.1, noise=z2) == pytest.approx(z1 + 0.1 * z2)
    assert otl.analogy(z1, z2, z3) == pytest.approx(z3 + (z2 - z1))
    assert otl.combine([z1, z2, z3], [1, 2, 3]) == pytest.approx(z1 + 2 * z2 + 3 * z3)
    walk = otl.random_walk(z1, 2, 0.1, noise=np.stack([z2, z3]))
    assert walk == pytest.approx(np.stack([z1, z1 + 0.1 * z2, z1 + 0.1 * z2 + 0.1 * z3]))


def test_matched_gaussian_is_a_rescaling():
    z1, z2 = otl.Gaussian().sample((2, 6, 3), rng=0)
    for t in (0.1, 0.5, 0.8):
        expected = (t * z1 + (1 - t) * z2) / np.hypot(t, 1 - t)
        assert otl.interpolate(z1, z2, t, prior=otl.Gaussian()) == pytest.approx(expected)


def test_noise_is_drawn_from_the_prior():
    z = UNIT.sample((5, 4), rng=0)
    u = UNIT.sample((5, 4), rng=1)
    drawn = otl.vicinity(z, 0.2, prior=UNIT, rng=np.random.default_rng(1))
    assert (drawn == otl.vicinity(z, 0.2, noise=u, prior=UNIT)).all()
    walk = otl.random_walk(z, 3, 0.2, prior=UNIT, rng=np.random.default_rng(1))
    noise = UNIT.sample((3, 5, 4), rng=1)
    assert walk.shape == (4, 5, 4)
    assert (walk == otl.random_walk(z, 3, 0.2, noise=noise, prior=UNIT)).all()
    assert otl.vicinity(z[0], 0.2, noise=u, prior=UNIT).shape == (5, 4)  # neighbours of one point
    assert otl.random_walk(torch.tensor(z), 0, 0.2, prior=UNIT).shape == (1, 5, 4)


def test_one_t_for_each_point_or_coordinate():
    z1, z2 = UNIT.sample((2, 4, 3), rng=0)
    t, each = np.array([0.1, 0.4, 0.7]), np.array([0.1, 0.2, 0.3, 0.4])
    for prior in (None, UNIT):
        for shape, one in ((t[None, :], lambda i: (..., i)), (each[:, None], lambda i: i)):
            y = otl.interpolate(z1, z2, shape, prior=prior)
            for i, value in enumerate(shape.ravel()):
                expected = otl.interpolate(z1, z2, float(value), prior=prior)
                assert y[one(i)] == pytest.approx(expected[one(i)], rel=1e-12)
    assert np.array_equal(otl.interpolate(z1, z2, [0.3]), otl.interpolate(z1, z2, 0.3))


@pytest.mark.parametrize("prior", [*PRIORS, otl.Uniform(0.1, 0.7)], ids=repr)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_one_hot_weights_are_the_identity_bit_for_bit(prior, dtype):
    z1, z2, z3 = prior.sample((3, 40, 5), rng=0, like=torch.zeros(1, dtype=getattr(torch, dtype)))
    ends = torch.tensor([1.0, 0.5, 0.0]).reshape(3, 1, 1)
    path = otl.interpolate(z1, z2, ends, prior=prior)
    assert (path[0] == z1).all() and (path[2] == z2).all() and not (path[1] == z1).any(-1).all()
    assert (otl.interpolate(z1, z2, 1, prior=prior) == z1).all()
    assert (otl.vicinity(z1, 0, noise=z2, prior=prior) == z1).all()
    assert (otl.combine([z1, z2, z3], [0, 0, 1], prior=prior) == z3).all()
    batched = torch.tensor([[0.0, 0.2], [1.0, 0.3], [0.0, 0.5]]).reshape(3, 2, 1, 1)
    assert (otl.combine([z1, z2, z3], batched, prior=prior)[0] == z2).all()


@pytest.mark.parametrize("prior", PRIORS, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_torch_agrees_with_numpy(operation, prior, dtype):
    z = prior.sample((4, 7, 5), rng=2, like=torch.zeros(1, dtype=dtype))
    expected = operation(z.double().numpy(), prior)
    got = operation(z, prior)
    assert got.dtype == dtype and got.shape == (7, 5)
    # The slope of a matched map is below 20 here; the walk rounds to the dtype at every step.
    assert got.double().numpy() == pytest.approx(expected, abs=20 * torch.finfo(dtype).eps)
    low, high = prior.support
    assert got.min() >= torch.tensor(low, dtype=dtype) and got.max() <= torch.tensor(high).to(dtype)


def test_numpy_t_with_torch_points_and_single_precision_numpy():
    z1, z2 = UNIT.sample((2, 4, 3), rng=0, like=torch.zeros(1))
    t = np.linspace(0, 1, 5)[:, None, None]
    path = otl.interpolate(z1, z2, t, prior=UNIT)
    assert path.dtype == torch.float32 and path.shape == (5, 4, 3)
    again = otl.interpolate(z1.numpy(), z2.numpy(), t, prior=UNIT)
    assert again.dtype == np.float32
    assert again == pytest.approx(path.numpy(), abs=1e-6)
    assert otl.combine(z1.numpy()[None], np.array([2]), prior=UNIT).dtype == np.float32


def test_gradients_flow_to_points_and_t():
    double = torch.zeros(1, dtype=torch.float64)
    for prior in PRIORS:
        z1, z2, z3 = prior.sample((3, 2, 3), rng=4, like=double).requires_grad_()
        t = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
        path = torch.tensor([0.3, 0.71], dtype=torch.float64, requires_grad=True)

        def matched(z1, z2, t, prior=prior):
            return otl.interpolate(z1, z2, t, prior=prior)

        def matched_path(z1, z2, path, prior=prior):
            return otl.interpolate(z1, z2, path.reshape(2, 1, 1), prior=prior)

        assert torch.autograd.gradcheck(matched, (z1, z2, t))
        assert torch.autograd.gradcheck(matched_path, (z1, z2, path))
        assert torch.autograd.gradcheck(lambda *z, prior=prior: otl.analogy(*z, prior=prior), (z1, z2, z3))
        assert torch.autograd.gradcheck(otl.slerp, (z1, z2, t))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-3, 3), min_size=2, max_size=4).filter(lambda w: max(map(abs, w)) > 0.01),
    st.sampled_from(PRIORS),
    st.randoms(use_true_random=False),
)
def test_order_of_the_points_does_not_matter(weights, prior, random):
    z = prior.sample((len(weights), 3, 2), rng=6)
    order = random.sample(range(len(weights)), len(weights))
    matched = otl.combine(z, weights, prior=prior)
    shuffled = otl.combine(z[order], [weights[i] for i in order], prior=prior)
    assert shuffled == pytest.approx(matched, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(
    # Down to 1e-30: a smaller weight is no longer a normal number in single precision.
    st.lists(st.floats(-1e6, 1e6).filter(lambda w: w == 0 or abs(w) > 1e-30), min_size=1, max_size=4).filter(any),
    st.sampled_from([UNIT, SHIFTED, otl.Uniform(0.1, 0.7)]),
    st.sampled_from([np.float64, np.float32, np.float16]),
)
def test_matched_points_never_leave_the_support(weights, prior, dtype):
    corners = np.array([prior.low, prior.mean, prior.high], dtype=dtype)
    z = np.stack(np.meshgrid(*[corners] * len(weights))).reshape(len(weights), -1, 1)
    y = otl.combine(z, weights, prior=prior)
    assert np.all((y >= dtype(prior.low)) & (y <= dtype(prior.high)))


@pytest.mark.parametrize("r", [0.9, 0.3, -0.5])
def test_dependent_ends_are_exact_where_their_correlation_is_told(r):
    """200,000 coordinates, level 1e-4: a variance off by 3 % is found 99 % of the time."""
    prior = otl.Gaussian(1, 2)
    u, v, w = otl.Gaussian().sample((3, 4_000, 50), rng=0)
    z1, z2 = 1 + 2 * u, 1 + 2 * (r * u + (1 - r * r) ** 0.5 * v)
    t = np.array([0.3, 0.5, 1.4])[:, None, None]
    for y in otl.interpolate(z1, z2, t, prior=prior, correlation=r):
        assert otl.check_prior(y, prior, level=1e-4)
    if abs(r) >= 0.5:  # less is not seen in so many numbers
        with pytest.warns(otl.DependentPointsWarning, match="independent points. .*, or pass correlation= to combine"):
            assert not otl.check_prior(otl.interpolate(z1, z2, 0.5, prior=prior), prior)
    matrix = np.array([[1, r, 0], [r, 1, 0], [0, 0, 1]])
    y = otl.combine([z1, z2, 1 + 2 * w], [0.2, -0.7, 0.4], prior=prior, correlation=matrix)
    assert otl.check_prior(y, prior, level=1e-4)
    covariance = np.array([[2.0, 0.5], [0.5, 1.0]])
    whole = otl.MultivariateGaussian(3, covariance)
    first, own = whole.sample((2, 20_000, 2), rng=1) - 3
    y = otl.interpolate(3 + first, 3 + r * first + (1 - r * r) ** 0.5 * own, 0.4, prior=whole, correlation=r)
    assert otl.check_prior(y, whole, level=1e-4)


def test_slerp_of_points_that_are_pictures():
    z = torch.randn(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(0)).half()
    flat = z.reshape(2, 3, -1)
    assert torch.equal(otl.slerp(*z, 0.3, axes=3).reshape(3, -1), otl.slerp(*flat, 0.3))
    assert otl.slerp(*z, torch.linspace(0, 1, 5)[:, None, None, None, None], axes=3).shape == (5, 3, 4, 8, 8)
    with pytest.raises(ValueError, match="axes must be at least 1 and at most 4"):
        otl.slerp(*z, 0.3, axes=5)


def test_slerp_follows_the_great_circle():
    t = np.linspace(0, 1, 11)[:, None]
    path = otl.slerp(np.array([0.0, 2.0]), np.array([2.0, 0.0]), t)
    angle = np.pi / 2 * t
    assert path == pytest.approx(2 * np.hstack([np.cos(angle), np.sin(angle)]))
    z1, z2 = otl.Gaussian().sample((2, 6, 3), rng=0)
    assert (otl.slerp(z1, z2, 1.0) == z1).all() and (otl.slerp(z1, z2, 0.0) == z2).all()
    # One angle for each sample, not one for the batch.
    each = np.stack([otl.slerp(a, b, 0.3) for a, b in zip(z1, z2, strict=True)])
    assert otl.slerp(z1, z2, 0.3) == pytest.approx(each)
    # Scaling a point scales its part of the sum and leaves the angle alone.
    swapped = otl.slerp(z2, z1, 0.7)
    assert swapped == pytest.approx(otl.slerp(z1, z2, 0.3))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_slerp_is_safe_where_there_is_no_great_circle(dtype):
    z = torch.tensor([[0.6, 0.8, 0.0]], dtype=dtype, requires_grad=True)
    cases = {"parallel": 2 * z, "opposite": -3 * z, "zero": 0 * z, "same": 1 * z}
    for other in cases.values():
        y = otl.slerp(z, other, 0.25)
        assert y.dtype == dtype
        line = (0.25 * z + 0.75 * other).detach().double().numpy()
        assert y.detach().double().numpy() == pytest.approx(line, rel=2 * torch.finfo(dtype).eps)
        (gradient,) = torch.autograd.grad(y.sum(), z)
        assert torch.isfinite(gradient).all()


def test_slerp_keeps_its_accuracy_at_small_angles():
    # 1e-6 apart in single precision, where an arccos of the cosine would return zero.
    z1 = np.array([1.0, 0.0], dtype=np.float32)
    z2 = np.array([1.0, 1e-6], dtype=np.float32)
    assert otl.slerp(z1, z2, 0.25)[1] == pytest.approx(0.75e-6, rel=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda z: otl.interpolate(z, z.astype("f4"), 0.5), TypeError, "one kind and dtype"),
        (lambda z: otl.interpolate(z, torch.tensor(z), 0.5), TypeError, "one kind and dtype"),
        (lambda z: otl.interpolate(z, z[:, :2], 0.5), ValueError, "shapes that broadcast"),
        (lambda z: otl.interpolate(z, z, np.nan), ValueError, "t must be finite"),
        (lambda z: otl.interpolate(z, z, "half"), TypeError, "t must be a number"),
        (lambda z: otl.interpolate(z, z, "0.5"), TypeError, "real numbers; got str"),
        (lambda z: otl.interpolate(z, z, [[np.datetime64("2020-01-01")]]), TypeError, "got list of datetime64"),
        (lambda z: otl.interpolate([["1", "2"]], z[:1, :2], 0.5), TypeError, "got list of <U1"),
        (lambda z: otl.combine(z[:2], [1.0, None]), TypeError, "got list of object"),
        (lambda z: otl.interpolate(np.ma.array(z, mask=z > 0), z, 0.5), TypeError, "masked array: fill it"),
        (lambda z: otl.interpolate([np.ma.array([1.0], mask=[1])], z[:1, :1], 0.5), TypeError, "masked"),
        (lambda z: otl.interpolate(z, z, np.ma.array([[1]], mask=[[1]])), TypeError, "t must not be a masked"),
        (lambda z: otl.interpolate(z * 1j, z, 0.5), TypeError, "got complex128: give real"),
        (lambda z: otl.interpolate([z[0] * 1j], z, 0.5), TypeError, "list of complex128"),
        (lambda z: otl.interpolate(z, z, [0.1, 0.2, 0.3]), ValueError, r"give t\[:, None\] for points"),
        (lambda z: otl.interpolate(z, z, [0.1] * 4), ValueError, r"t of shape \(4,\) may be"),
        (lambda z: otl.slerp(z, z, [0.1] * 3), ValueError, r"t of shape \(3,\) may be"),
        (lambda z: otl.interpolate(z, z, 0.5, UNIT, correlation=0.5), ValueError, "points that follow one normal law"),
        (lambda z: otl.interpolate(z, z, 0.5, otl.Gaussian(), correlation=2), ValueError, "no negative eigenvalue"),
        (lambda z: otl.interpolate(z, z, 0.5, otl.Gaussian(), correlation=np.eye(3)), ValueError, "symmetric matrix"),
        (lambda z: otl.interpolate(z, z, 0.5, otl.Gaussian(), correlation=-1), ValueError, "leave nothing"),
        (lambda z: otl.vicinity(z, [0.1] * 3, noise=z), ValueError, "eps of shape"),
        (lambda z: otl.random_walk(z, 1, [0.1] * 3, prior=UNIT), ValueError, "eps of shape"),
        (lambda z: otl.combine([z, z], np.ones((2, 3))), ValueError, r"give weights\[i\]\[:, None\]"),
        (lambda z: otl.interpolate(z, z, np.ones((5, 1))), ValueError, r"broadcast against the points, .*\(5, 1\)"),
        (lambda z: otl.interpolate(z, z, 0.5, prior="gaussian"), TypeError, "prior must be a law, such as"),
        (lambda z: otl.interpolate(z, z, 0.5, prior=otl.Gaussian), TypeError, "prior must be a law, such as"),
        (lambda z: otl.vicinity(z, 0.5, prior=UNIT, noise_law=3), TypeError, "noise_law must be a law, such as"),
        (lambda z: otl.interpolate(1.0, 2.0, 0.5), ValueError, "latent dimension"),
        (lambda z: otl.interpolate(z > 0, z > 0, 0.5), TypeError, "must be floating"),
        (lambda z: otl.combine([z, z], [1, 2, 3]), ValueError, r"got shape \(3,\) for 2 points"),
        (lambda z: otl.combine([z, z], 0.5), ValueError, r"got shape \(\) for 2 points"),
        (lambda z: otl.combine([], []), ValueError, "at least one point"),
        (lambda z: otl.combine([z, z], [0, 0], prior=UNIT), ValueError, "must not all be zero"),
        (lambda z: otl.combine([z, z], [1e-31, 0], prior=UNIT), ValueError, "between 1e-30"),
        (lambda z: otl.combine([z, z], [1, 1e31], prior=UNIT), ValueError, "multiply all by one"),
        (lambda z: otl.vicinity(z, 0.1), ValueError, "noise must be given"),
        (lambda z: otl.random_walk(z, 2.5, 0.1, prior=UNIT), TypeError, "steps must be a whole number"),
        (lambda z: otl.random_walk(z, 3, 0.1, noise=z[:2]), ValueError, "one entry per step"),
    ],
)
def test_errors_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call(UNIT.sample((4, 3), rng=0))
