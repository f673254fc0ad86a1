"""Priors from scipy.stats, any continuous law, and sums of points of different laws."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import stats

from ot_latent._arrays import Array
from ot_latent.priors.gaussian import Gaussian
from ot_latent.priors.laws import Prior, check_weights, per_distinct_column, require_no_gradient
from ot_latent.priors.numerical.law import NumericalLaw
from ot_latent.priors.numerical.sums import PairSum, PairSumPerEntry, sum_of_terms, tabulated
from ot_latent.priors.numerical.tabulation import tabulate
from ot_latent.priors.uniform import Uniform, uniform_sum

# Strictly stable laws about their location: Σ w_i Z_i is a scaled Z, with scale (Σ |w_i|^α)^(1/α).
_STABILITY = {"norm": 2.0, "cauchy": 1.0, "levy": 0.5}
_KEPT = 1024  # laws of sums that are remembered: some 100 kB each where they are tabulated


class ScipyPrior(NumericalLaw):
    """Any continuous law of scipy.stats, or your own by its distribution function.

    The law is tabulated once, in a fraction of a second, to a relative error below 1e-9 in the bulk
    and in both tails down to 1e-12 where scipy itself is as accurate; it then runs on numpy and torch
    arrays alike, with gradients, and much faster than scipy's own quantile functions.

    Parameters
    ----------
    law : frozen distribution of scipy.stats, or an object
        With methods ``cdf`` and ``ppf``; also used where there are: ``pdf``, ``sf``, ``isf``,
        ``support``, ``mean``, ``var``. Without ``sf`` an upper tail is only known to 1e-8 or so,
        unless the law is symmetric. ``scipy.stats.Mixture`` and other new-style distributions do.

    Raises
    ------
    TypeError
        If `law` is not frozen, or has no cdf or no ppf.
    ValueError
        If it is discrete, or has an atom: no map moves an atom onto several points (Agustsson et
        al. 2019, Theorem 2, needs a continuous source).

    Examples
    --------
    >>> import scipy.stats
    >>> prior = ScipyPrior(scipy.stats.laplace())
    >>> midpoint = prior.combine([0.5, 0.5])
    >>> print(f"{midpoint.icdf(0.975):.6f} instead of {prior.icdf(0.975):.6f}")
    2.056502 instead of 2.995732
    """

    law: Any

    def __init__(self, law: Any) -> None:
        if isinstance(law, stats.rv_continuous) and not law.numargs:
            law = law()  # without parameters, as histograms are
        standard, loc, scale = _standardised(law)
        dist = getattr(standard, "dist", None)
        table = _of_shape(dist.name, standard.args) if _is_scipys(dist) else _table(standard)
        self.__dict__.update(table.scaled(scale).shifted(loc).__dict__, law=law)

    def __repr__(self) -> str:
        if hasattr(self.law, "dist"):
            shown = [f"{x:.6g}" for x in self.law.args]
            shown += [f"{name}={x:.6g}" for name, x in self.law.kwds.items()]
            return f"ScipyPrior({self.law.dist.name}({', '.join(shown)}))"
        return f"ScipyPrior({self.law!r})"

    def saved_state(self) -> dict[str, Any]:
        """What `save` writes: the law's name and parameters, or its table where that is exact."""
        dist = getattr(self.law, "dist", None)
        frozen = {} if dist is None else {"args": self.law.args, "kwds": self.law.kwds}
        if isinstance(dist, stats.rv_histogram):
            return {"histogram": dist._histogram, "density": dist._density} | frozen
        if _is_scipys(dist):
            return {"name": dist.name} | frozen
        if self.exact is None:
            raise TypeError(
                f"{self!r} cannot be saved, because its law has no name by which scipy.stats knows it: take a frozen "
                "distribution of scipy.stats, or the histogram of draws, scipy.stats.rv_histogram"
            )
        names = ("axis", "table", "mean", "var", "exact")
        return {"table": {name: getattr(self, name) for name in names}}

    @classmethod
    def from_saved_state(cls, state: dict[str, Any]) -> "ScipyPrior":
        """The way back from `saved_state`."""
        if "table" in state:
            prior = cls.__new__(cls)
            prior.__dict__.update(state["table"], law=state["table"]["exact"])
            return prior
        if "histogram" in state:
            dist = stats.rv_histogram(state["histogram"], density=state["density"])
        elif not isinstance(dist := getattr(stats, state["name"], None), stats.rv_continuous):
            raise ValueError(f"scipy.stats has no continuous law {state['name']!r}")
        return cls(dist(*state["args"], **state["kwds"]))

    def combine(self, weights: Array) -> Any:
        """The law of w_1 Z_1 + ... + w_k Z_k.

        Stable laws (normal, Cauchy, Lévy) in closed form; others by quadrature, with an error below
        1e-9 in the bulk and, relative to the tail, below 1e-6 down to 1e-12. A law is computed once
        for each set of weights and kept.

        Parameters
        ----------
        weights : array (k,) or (k, ...)
            Any finite real weights, not all zero. With shape (k, ...), one law per distinct weight
            vector (`LawPerEntry`). Sums of two are tabulated only where that pays (`PairSum`), so
            that each sample may have weights of its own; sums of more always are.

        Raises
        ------
        ValueError
            If a weight is not finite, or all are zero.
        TypeError
            If the weights ask for a gradient.
        """
        weights = check_weights(weights)
        require_no_gradient(weights, "a law is tabulated")
        if weights.ndim > 1:
            return per_distinct_column(self._sum, weights, PairSumPerEntry)
        return tabulated(self._sum(weights))

    def _sum(self, weights: np.ndarray) -> Any:
        """The law of a sum, kept; a `PairSum` if there are two weights and no closed form."""
        return _sum_of_one(self, tuple(sorted(float(w) for w in weights if w != 0)))


@functools.lru_cache(maxsize=_KEPT)
def _sum_of_one(prior: ScipyPrior, weights: tuple[float, ...]) -> Any:
    if weights == (1.0,):
        return prior
    if len(weights) == 1:
        return prior.scaled(weights[0])
    alpha = _STABILITY.get(getattr(getattr(prior.law, "dist", None), "name", None))
    one_sided = weights[0] > 0 or weights[-1] < 0
    if alpha is None or (alpha < 1 and not one_sided):
        return sum_of_terms([(prior, w) for w in weights])
    loc = prior.law.dist._parse_args(*prior.law.args, **prior.law.kwds)[1]
    size = sum(abs(w) ** alpha for w in weights) ** (1 / alpha)
    centred = prior.shifted(-loc).scaled(math.copysign(size, weights[-1]))
    return centred.shifted(float(loc) * math.fsum(weights))


def _is_scipys(dist: Any) -> bool:
    """Whether this is the distribution that scipy.stats has under its name."""
    return type(getattr(stats, getattr(dist, "name", None) or "", None)) is type(dist) is not type(None)


def _table(law: Any) -> NumericalLaw:
    with np.errstate(all="ignore"):  # scipy's own, far out in the tails
        return tabulate(_Functions(law))


@functools.lru_cache(maxsize=_KEPT)
def _of_shape(name: str, shapes: tuple[float, ...]) -> NumericalLaw:
    """One of scipy's own laws, which its name and the numbers of its shape tell apart."""
    return _table(getattr(stats, name)(*shapes))


def sum_law(laws: Sequence[Prior], weights: Array) -> Any:
    """The law of w_1 Z_1 + ... + w_k Z_k where each Z_i has a law of its own.

    Parameters
    ----------
    laws : sequence of k laws
        `Uniform`, `Gaussian` or `ScipyPrior`; but for Gaussians with single numbers as parameters. Or
        `MultivariateGaussian` ones, or `Codes`, with laws of noise.
    weights : array (k,) or (k, ...)
        Any finite real weights, not all zero. With shape (k, ...), one law per distinct weight
        vector.

    Returns
    -------
    law
        In closed form or exact where all laws are Gaussian, all uniform or all the same; else by
        quadrature, see `ScipyPrior.combine`.

    Raises
    ------
    ValueError
        If there are not as many weights as laws, or all are zero.

    Examples
    --------
    >>> sum_law([Gaussian(1, 3), Gaussian(0, 2)], [1, 2])
    Gaussian(mean=1.0, std=5.0)
    """
    weights = check_weights(weights)
    if not isinstance(laws, Sequence) or isinstance(laws, str):
        raise TypeError(f"laws must be a list of laws, got {laws!r}")
    laws = list(laws)
    if len(weights) != len(laws):
        raise ValueError(f"weights must have one entry per law: got shape {tuple(weights.shape)} for {len(laws)} laws")
    if hasattr(laws[0], "combine") and all(law == laws[0] for law in laws):
        return laws[0].combine(weights)
    if points := next((law for law in laws if getattr(law, "takes_other_laws", False)), None):
        return points.combine(weights, laws)
    if all(isinstance(law, Gaussian) for law in laws):
        mean = sum(w * law.mean for law, w in zip(laws, weights, strict=True))
        return Gaussian(mean, sum((w * law.std) ** 2 for law, w in zip(laws, weights, strict=True)) ** 0.5)
    if not all(isinstance(law, Prior) and np.ndim(law.mean) == 0 for law in laws):
        raise TypeError(f"laws must be priors with single numbers as parameters unless all are Gaussian, got {laws}")
    require_no_gradient(weights, "a law is computed")
    if weights.ndim > 1:
        return per_distinct_column(functools.partial(_sum_law, laws), weights, PairSumPerEntry)
    return tabulated(_sum_law(laws, weights))


def _sum_law(laws: Sequence[Prior], weights: np.ndarray) -> Any:
    """`sum_law` for one weight vector, or a `PairSum`."""
    terms = [(law, float(w)) for law, w in zip(laws, weights, strict=True) if w != 0]
    if len(terms) == 1:
        law, weight = terms[0]
        return law.combine([weight])
    if all(isinstance(law, Uniform) for law, _ in terms):
        center = math.fsum(w * law.mean for law, w in terms)
        return uniform_sum(center, [w * law.half_width for law, w in terms])
    return _mixed_sum(tuple(terms))


@functools.lru_cache(maxsize=_KEPT)
def _mixed_sum(terms: tuple[tuple[Any, float], ...]) -> NumericalLaw | PairSum:
    """The law of Σ w Z over (law, w) in `terms`, by quadrature."""
    tables = {law: law if isinstance(law, NumericalLaw) else tabulate(law) for law in dict(terms)}
    return sum_of_terms([(tables[law], w) for law, w in terms])


def _standardised(law: Any) -> tuple[Any, float, float]:
    """`law` without its location and scale, which scipy's laws carry, and these two."""
    dist = getattr(law, "dist", law)
    if isinstance(dist, stats.rv_discrete):
        raise ValueError(
            "law must be continuous, got a discrete one: a monotone map cannot move an atom onto "
            "several points (Agustsson et al. 2019, Theorem 2)"
        )
    if isinstance(law, stats.rv_continuous):
        raise TypeError(f"law must be frozen: give its parameters, as in stats.{law.name}(...)")
    if not isinstance(dist, stats.rv_continuous):
        return law, 0.0, 1.0
    shapes, loc, scale = dist._parse_args(*law.args, **law.kwds)
    for value in (*shapes, loc, scale):
        if np.ndim(value):
            raise ValueError(f"law must have single numbers as parameters, got {law.args}: give a list of laws")
    if not (0 < scale < math.inf and math.isfinite(loc)):
        raise ValueError(f"law must have a finite loc and a finite scale > 0, got loc={loc} and scale={scale}")
    return dist(*shapes), float(loc), float(scale)


class _Functions:
    """What `tabulate` asks of a law, from what the user's object offers."""

    def __init__(self, law: Any) -> None:
        self.cdf = _method(law, "cdf")
        self.icdf = _method(law, "ppf", "icdf")
        self.sf = _method(law, "sf", "ccdf", default=lambda x: 1 - self.cdf(x))
        self.isf = _method(law, "isf", "iccdf", default=lambda q: self.icdf(1 - q))
        self.pdf = _method(law, "pdf", default=lambda x: np.full(np.shape(x), np.nan))
        median = float(self.icdf(0.5))
        if not math.isfinite(median):
            raise ValueError(f"law must have a median, got {median}: check its parameters")
        ends = float(self.icdf(0.0)), float(self.icdf(1.0))
        self.support = _method(law, "support", default=lambda: ends)()
        self.mean = float(_method(law, "mean", default=lambda: math.nan)())
        self.var = float(_method(law, "var", "variance", default=lambda: math.nan)())


def _method(law: Any, *names: str, default: Callable[..., Any] | None = None) -> Any:
    found = next((getattr(law, name) for name in names if hasattr(law, name)), default)
    if found is None:
        raise TypeError(
            f"law must be a frozen continuous distribution of scipy.stats, or an object with "
            f"methods cdf and ppf; {law!r} has no {names[0]}"
        )
    return found
