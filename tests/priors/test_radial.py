"""Radial priors: the law of the norm of a sum, and points that keep the prior."""

import copy
import pickle

import numpy as np
import pytest
import scipy.stats as st
import torch

import ot_latent as otl

TAILS = np.array([1e-8, 1e-6, 1e-3, 0.1, 0.5])
KILCHER = otl.Radial(10, st.halfnorm(scale=0.5**0.5))
PRIORS = {
    "sphere, d = 2": otl.Sphere(2),
    "sphere, d = 100": otl.Sphere(100, 3.0),
    "ball, d = 3": otl.Ball(3),
    "ball, d = 50": otl.Ball(50, 2.0),
    "Kilcher, d = 10": KILCHER,
}
EACH = pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)


@pytest.mark.parametrize("d", [2, 10, 100])
def test_gaussian_points_are_radial_and_so_are_their_sums(d):
    """‖w_1 z_1 + w_2 z_2‖ of Gaussian points has the chi law times ‖w‖: by name, and by quadrature under another."""
    exact = st.chi(d, scale=np.hypot(0.3, 0.7))
    for law, error in ((st.chi(d), 1e-9), (st.gengamma(d / 2, 2, scale=2**0.5), 1e-5)):
        norm = otl.Radial(d, law).combine([0.3, -0.7]).norm
        for ours, theirs, x in ((norm.cdf, exact.cdf, exact.ppf(TAILS)), (norm.sf, exact.sf, exact.isf(TAILS))):
            assert ours(x) == pytest.approx(theirs(x), rel=error)


def test_midpoints_of_a_ball_have_the_law_of_distances_in_it():
    """P(‖u - v‖ <= s) = s³ - 9 s⁴ / 16 + s⁶ / 32 for two points of the unit ball in space."""
    s = np.array([1e-2, 0.3, 1.0332, 1.7])
    exact = s**3 - 9 / 16 * s**4 + s**6 / 32
    assert otl.Ball(3).combine([0.5, 0.5]).norm.cdf(s / 2) == pytest.approx(exact, rel=1e-5)


def three_in_space(rho):
    """P(‖u + v + w‖ <= rho), rho <= 1, of three points on the sphere in space: ∫ s²/2 ds."""
    return rho**3 / 6


@pytest.mark.parametrize(
    ("prior", "weights", "rho", "exact"),
    [
        (otl.Sphere(3), [1, 1, 1], 0.3, three_in_space(0.3)),
        (otl.Sphere(3, 2.0), [-1, 1, 1], 1.1, three_in_space(0.55)),
        # Pearson's walks in the plane: P(‖Σ w u‖ <= ρ) = ρ ∫ J1(ρt) Π J0(w t) dt, by mpmath
        (otl.Sphere(2), [1, 1, 1], 0.3, 0.016796641860712926),
        (otl.Sphere(2), [0.2, 0.3, 0.6], 0.9, 0.8093761786254425),
        # two points: an angle of at most 60 degrees off the opposite direction
        (otl.Sphere(2), [1, 1], 1.0, 1 / 3),
        (otl.Sphere(3), [1, -1], 1.0, 1 / 4),
    ],
)
def test_norms_of_sums_of_points_on_a_sphere(prior, weights, rho, exact):
    norm = prior.combine(weights).norm
    assert norm.cdf(rho) == pytest.approx(exact, rel=1e-6)
    square = prior.radius**2 * np.sum(np.square(weights))
    assert norm.expectation(lambda r: r**2) == pytest.approx(square, rel=1e-6)
    T = otl.monotone_map(prior.combine(weights), prior)
    assert T.cost(2) == pytest.approx(square - 2 * norm.mean * prior.radius + prior.radius**2)


def directions_and_norms_follow(y, prior):
    """Both p-values above 1e-4: of 20,000 points an error of 0.025 in a law is found 99 % of the time."""
    length = np.linalg.norm(y, axis=-1)
    cosine = st.beta((prior.d - 1) / 2, (prior.d - 1) / 2)
    ok = st.kstest(cosine.cdf((1 + y[:, 0] / length) / 2), "uniform").pvalue > 1e-4
    if prior.radius is not None:
        return ok and np.allclose(length, prior.radius)
    return ok and st.kstest(prior.norm.cdf(length), "uniform").pvalue > 1e-4


@EACH
def test_matched_points_follow_the_prior(prior):
    z = prior.sample((3, 20_000, prior.d), rng=1)
    assert directions_and_norms_follow(z[0], prior)
    for operation in (
        lambda prior: otl.interpolate(z[0], z[1], 0.3, prior=prior),
        lambda prior: otl.vicinity(z[0], 0.5, noise=z[1], prior=prior),
    ):
        assert directions_and_norms_follow(operation(prior), prior)
        assert not directions_and_norms_follow(operation(None), prior)


def test_three_points_and_a_walk():
    for prior in (otl.Sphere(5), otl.Ball(5)):
        z = prior.sample((3, 20_000, 5), rng=2)
        assert directions_and_norms_follow(otl.analogy(*z, prior=prior), prior)
        walk = otl.random_walk(z[0], 3, 0.4, prior=prior, rng=3)
        assert all(directions_and_norms_follow(step, prior) for step in walk)


@EACH
def test_one_hot_weights_are_the_identity(prior):
    z1, z2 = prior.sample((2, 5, prior.d), rng=3)
    assert (otl.interpolate(z1, z2, 1, prior=prior) == z1).all()
    t = np.array([1.0, 0.3, 0.0]).reshape(3, 1, 1)
    path = otl.interpolate(z1, z2, t, prior=prior)
    assert path[0] == pytest.approx(z1, rel=1e-12) and path[2] == pytest.approx(z2, rel=1e-12)
    # few numbers by levels, many by a table of the map, which is good to 1e-9
    assert path[1] == pytest.approx(otl.interpolate(z1, z2, 0.3, prior=prior), rel=1e-8, abs=1e-9)


@EACH
def test_torch_agrees_and_has_gradients(prior):
    z1, z2 = prior.sample((2, 4, prior.d), rng=4)
    expected = otl.interpolate(z1, z2, 0.3, prior=prior)
    a, b = torch.tensor(z1[:, :5]), torch.tensor(z2[:, :5])
    whole = otl.interpolate(torch.tensor(z1), torch.tensor(z2), 0.3, prior=prior)
    assert whole.numpy() == pytest.approx(expected, rel=1e-7, abs=1e-9)
    half = otl.interpolate(torch.tensor(z1).half(), torch.tensor(z2).half(), 0.3, prior=prior)
    assert half.dtype == torch.float16
    assert half.double().numpy() == pytest.approx(expected, abs=0.02)
    if prior.d <= 5:
        a, b = a.requires_grad_(), b.requires_grad_()

        def matched(a, b):
            return otl.interpolate(a, b, 0.3, prior=prior)

        assert torch.autograd.gradcheck(matched, (a, b), atol=1e-4)
    zero = torch.zeros(1, prior.d, dtype=torch.float64, requires_grad=True)
    image = otl.interpolate(zero, zero, 0.3, prior=prior)
    (gradient,) = torch.autograd.grad(image.sum(), zero)
    assert (image == 0).all() and torch.isfinite(gradient).all()


def test_copies_of_batched_maps_move_points_alike():
    for prior in PRIORS.values():
        again = pickle.loads(pickle.dumps(prior))
        assert again == prior == copy.deepcopy(prior) and hash(again) == hash(prior)
        assert prior != otl.Sphere(prior.d, 7.0)
        t = np.array([[1.0], [0.3]])
        T = otl.monotone_map(prior.combine(np.stack([t, 1 - t])), prior)
        y = prior.sample((2, prior.d), rng=0)
        assert np.array_equal(pickle.loads(pickle.dumps(T))(y), T(y))


def test_no_coupling_of_samples_is_cheaper():
    """Brenier: the cost of the map is the least between samples, up to their scatter."""
    prior = otl.Ball(2)
    law = prior.combine([0.5, 0.5])
    T = otl.monotone_map(law, prior)
    z = prior.sample((2, 200_000, 2), rng=5)
    y = z.mean(0)
    moved = ((T(y) - y) ** 2).sum(-1)
    assert abs(moved.mean() - T.cost(2)) < 4 * moved.std() / len(y) ** 0.5
    m = 1_000
    dual = otl.solve_kantorovich(y[:m], prior.sample((m, 2), rng=6))
    assert 2 * dual.cost > 0.9 * T.cost(2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: otl.Sphere(1), "at least 2"),
        (lambda: otl.Sphere(2.5), "at least 2, got 2.5"),
        (lambda: otl.Sphere("3"), "at least 2, got '3'"),
        (lambda: otl.Ball(np.inf), "at least 2, got inf"),
        (lambda: otl.Sphere(3, np.nan), "radius must be positive"),
        (lambda: otl.Ball(3, 0), "radius must be positive"),
        (lambda: otl.Ball(3).sample(-3), "shape must be a whole number >= 0"),
        (lambda: otl.Ball(3).sample(()), "shape must end in d = 3"),
        (lambda: otl.Ball(3, -1), "radius must be positive"),
        (lambda: otl.Radial(3, st.norm()), r"law on \[0, inf\)"),
        (lambda: otl.Ball(3).sample((4, 2)), "shape must end in d = 3"),
        (lambda: otl.Sphere(3).combine(np.ones((2, 5, 3))), "same for all coordinates"),
        (
            lambda: otl.interpolate(np.ones((4, 2)), np.ones((4, 2)), 0.5, prior=otl.Sphere(3)),
            "points must have 3 coordinates",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
