"""Do points still follow the prior? A calibrated test with an answer in words."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_torch_array
from scipy import special, stats

from ot_latent._arrays import Array, as_floating, at_least_single, generator, number
from ot_latent.priors.laws import AnyPrior
from ot_latent.priors.product import as_prior


@dataclass(frozen=True)
class PriorCheck:
    """What `check_prior` found.

    Attributes
    ----------
    p_value : float
        Of both tests together (Bonferroni): the chance of points that look at least as unlike the
        prior, were they drawn from it.
    level : float
        Points have left the prior where `p_value` is below it.
    coordinates, norms : float
        The p-values of the two tests.
    radius : float
        Mean of ‖g‖² / d in standard normal coordinates g: near 1 on the prior, below 1 where points
        crowd the centre, as means do; above 1 where they spread. For radial priors g has the
        direction of z and the quantile of its norm; on a sphere, the mean of ‖z‖² / radius².
    points, dimension : int
        How many points of which dimension were tested.
    finding : str
        What is wrong, in words, if anything is.
    """

    p_value: float
    level: float
    coordinates: float
    norms: float
    radius: float
    points: int
    dimension: int
    finding: str = ""

    @property
    def ok(self) -> bool:
        return self.p_value >= self.level

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        p = f"p = {self.p_value:.2g}" if self.p_value else "p < 1e-300"
        many = f"{self.points:,} points in {self.dimension:,} dimensions"
        if self.ok:
            return f"No sign that these {many} have left the prior ({p})."
        return f"These {many} have left the prior ({p}): {self.finding}."


def check_prior(
    z: Array, prior: AnyPrior, level: float = 0.01, rng: int | np.random.Generator | None = 0
) -> PriorCheck:
    """Test whether points follow a prior.

    Two Kolmogorov-Smirnov tests, exact for every prior: of all coordinates together, F(z) being
    uniform on [0, 1]; and of the squared norms ‖g‖², where g = Φ^{-1}(F(z)) is standard normal, so
    that ‖g‖² follows the chi-square law. The second sees dependence between coordinates too: points of
    a prior whose coordinates depend on each other do not follow a law for each coordinate, and fail. Those of
    a `MultivariateGaussian` and of an `Elliptical` prior are whitened first.

    Radial priors (`Sphere`, `Ball`, `Radial`), whose coordinates are not independent, are tested in
    their directions, which become independent normal coordinates when each is given a chi-distributed
    random length, and in their norms. For `Codes` both are two-sample tests: by an energy distance, and of the
    distances to the mean.

    Parameters
    ----------
    z : array (n, ...)
        Points that are independent of each other, one per entry of the first axis; all other axes
        are coordinates. The steps of one path are not independent: test one step of many paths.
    prior : law
        Of every coordinate, or a sequence of one for each; or a radial prior.
    level : float
        How often points of the prior may fail, in (0, 1).
    rng : int or numpy.random.Generator
        Half precisions are grids that a large sample tells from any continuous law; each number is
        replaced by a random one that rounds to it. Also for the lengths of directions.

    Returns
    -------
    PriorCheck
        True where nothing was found; printed, it says so in words. A sample as small as ten points
        can show a large departure only.

    Raises
    ------
    ValueError
        If `z` has no two axes, holds NaN or infinite values, has not as many coordinates as the
        prior, or `level` is not in (0, 1).
    """
    if not 0 < number(level, "level") < 1:
        raise ValueError(f"level must be in (0, 1), got {level}")
    z = as_floating(z, "z")
    if z.ndim < 2 or 0 in z.shape:
        raise ValueError(f"z must hold points along the first axis, got shape {tuple(z.shape)}")
    single = at_least_single(z)
    values = (single.detach().cpu().numpy() if is_torch_array(z) else single).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("z holds NaN or infinite values")
    rng, law = generator(rng, purpose="check"), as_prior(prior)
    bits = round(1 - np.log2(float(array_namespace(z).finfo(z.dtype).eps)))
    if z.dtype.itemsize == 2:
        values = _unrounded(values, bits, getattr(law, "support", (-np.inf, np.inf)), rng)
    values = values.reshape(len(z), -1)
    dimension = values.shape[1]
    if getattr(law, "d", dimension) != dimension:
        raise ValueError(f"z must have the {law.d} coordinates of {law!r}, got {dimension}")
    if hasattr(law, "whitened"):
        lost = np.square(_steps(values, bits)).mean(0) / (6 if z.dtype.itemsize == 2 else 12)
        values, law = law.whitened(values, lost)
    if hasattr(law, "departure"):  # a law that is known by its points
        coordinates, norms, squares = law.departure(values)
    elif getattr(law, "of_whole_points", False):
        coordinates, norms, squares = _radial_tests(values, law, bits, rng)
    else:
        coordinates, norms, squares = _tests(values, law)
    p_value = float(min(1.0, 2 * min(coordinates, norms)))
    radius = float(np.mean(np.where(np.isfinite(squares), squares, 1e6)))
    finding = _finding(squares, radius) if p_value < level else ""
    return PriorCheck(p_value, level, float(coordinates), float(norms), radius, len(values), dimension, finding)


def _finding(squares: np.ndarray, radius: float) -> str:
    """What is wrong with points whose g² are `squares`, (n, d), or (n, 1) if only ‖g‖² / d are known."""
    advice = "Pass prior= to the operation that made them"
    beyond = 100 * np.mean(~np.isfinite(squares))
    if beyond:
        what = "coordinates" if squares.shape[1] > 1 else "points"
        return f"{beyond:.2g} % of these {what} lie where the prior has none. {advice}"
    norms = squares.mean(1)
    if abs(radius - 1) >= max(0.02, 4 * norms.std() / len(norms) ** 0.5):
        if radius < 1:
            return f"they lie too close to the centre, at {radius:.2f} times the squared norm of the prior. {advice}"
        out = f"they lie too far out, at {radius:.2f} times the squared norm of the prior. {advice}"
        return out + ", and to it points that are independent of each other"
    # the norms of independent coordinates have the variances of these, added up
    scatter = norms.var() * squares.shape[1] ** 2 / max(squares.var(0).sum(), 1e-300)
    if scatter > 1 + 4 * ((2 + 12 / squares.shape[1]) / len(norms)) ** 0.5:
        return (
            "the coordinates of a point depend on each other, as those of this prior do not. If they are meant to, "
            "take a prior that knows it: MultivariateGaussian(mean, covariance), or Codes(points)"
        )
    return f"their coordinates have another law, though their norms are about right. {advice}"


def _tests(values: np.ndarray, prior: Any) -> tuple[Any, Any, np.ndarray]:
    """p-values of coordinates and norms, and g², where coordinates are independent."""
    below, above = prior.cdf(values), prior.sf(values)
    # from the nearer tail: far out, the other probability rounds to 1
    normal = np.where(below < above, special.ndtri(below), -special.ndtri(above))
    squares = normal**2  # infinite outside the support
    coordinates = stats.kstest(below.ravel(), "uniform").pvalue
    return coordinates, stats.kstest(squares.sum(1), partial(special.chdtr, values.shape[1])).pvalue, squares


def _radial_tests(values: np.ndarray, prior: Any, bits: int, rng: np.random.Generator) -> tuple[Any, Any, np.ndarray]:
    """The same for a radial prior, and ‖g‖² / d."""
    lengths = np.linalg.norm(values, axis=1)
    directions = values / np.where(lengths > 0, lengths, 1.0)[:, None]
    chi2 = stats.chi2(prior.d)
    normal = directions * np.sqrt(chi2.rvs(len(values), random_state=rng))[:, None]
    coordinates = stats.kstest(normal.ravel(), "norm").pvalue
    if prior.radius is None:
        below, above = prior.norm.cdf(lengths), prior.norm.sf(lengths)
        squares = np.where(below < above, chi2.ppf(below), chi2.isf(above))
        norms = stats.kstest(below, "uniform").pvalue
        return coordinates, norms, squares[:, None] / prior.d
    # all on the sphere, as far as the dtype can tell, or not
    off = np.abs(lengths / prior.radius - 1)
    on = np.all(off <= 16 * 2.0**-bits)  # some roundings, with room
    return coordinates, 1.0 if on else 0.0, (lengths[:, None] / prior.radius) ** 2


def _unrounded(values: np.ndarray, bits: int, support: tuple[Any, Any], rng: np.random.Generator) -> np.ndarray:
    """Random numbers that round to `values` with `bits` significant bits; in the support if any is."""
    step = _steps(values, bits)
    towards_zero = np.where(abs(np.frexp(values)[0]) == 0.5, step / 2, step)  # below a power of two the grid is finer
    sign = np.sign(values)
    first, second = values - sign * towards_zero / 2, values + sign * step / 2
    low, high = np.minimum(first, second), np.maximum(first, second)
    inside = (high > support[0]) & (low < support[1])
    low = np.where(inside, np.maximum(low, support[0]), low)
    high = np.where(inside, np.minimum(high, support[1]), high)
    return low + (high - low) * rng.random(values.shape)


def _steps(values: np.ndarray, bits: int) -> np.ndarray:
    """From numbers of so many significant bits to the next."""
    return np.ldexp(1.0, np.frexp(values)[1] - bits)
