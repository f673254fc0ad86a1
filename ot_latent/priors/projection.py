"""The law of a prior's points along a direction, by its quantiles."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from ot_latent.monotone import Law
from ot_latent.priors.gaussian import Gaussian
from ot_latent.priors.laws import Prior
from ot_latent.priors.product import Product
from ot_latent.priors.radial import Radial
from ot_latent.priors.scipy_prior import sum_law
from ot_latent.priors.uniform import Uniform

_GRADE = 6  # the nodes of `Projection.moment` crowd at the ends of the law like the sixth power
_NODES = 32


class Projection(NamedTuple):
    """The law of v.z, z a point of a prior."""

    icdf: Callable[[np.ndarray], Any]
    isf: Callable[[np.ndarray], Any]
    mean: np.ndarray  # of z, by coordinate
    var: np.ndarray

    def borders(self, masses: np.ndarray) -> np.ndarray:
        """Where intervals end that have these masses, from the left to the right: (N,) -> (N - 1,)"""
        below, above = masses.cumsum()[:-1], masses[::-1].cumsum()[::-1][1:]
        lower = below < above
        ends = np.where(lower, self.icdf(np.where(lower, below, 0.5)), self.isf(np.where(lower, 0.5, above)))
        return np.maximum.accumulate(ends)

    def moment(self, masses: np.ndarray, values: np.ndarray) -> float:
        """E[v.z f(v.z)], f being constant between `borders`: an integral over quantiles, to eight digits."""
        return self._half(self.icdf, masses, values) + self._half(self.isf, masses[::-1], values[::-1])

    @staticmethod
    def _half(quantile: Callable[[np.ndarray], Any], masses: np.ndarray, values: np.ndarray) -> float:
        """The part of an end of the law up to its median."""
        ends = np.r_[0.0, masses.cumsum()[:-1], 1.0].clip(max=0.5)
        nodes, weights = np.polynomial.legendre.leggauss(_NODES)
        u = (nodes + 1) / 2
        some = np.diff(ends) > 0
        width, low = np.diff(ends)[some], ends[:-1][some]
        parts = quantile(low[:, None] + width[:, None] * u**_GRADE) @ (weights / 2 * _GRADE * u ** (_GRADE - 1))
        return float(values[some] @ (width * parts))


def project(prior: Any, direction: np.ndarray) -> Projection | None:
    """The law of v.z for a unit vector v, z being a point of the prior: (d,)

    None where it is not known: for laws that can only be sampled, and for `Radial` ones but spheres.
    """
    d = len(direction)
    if isinstance(prior, Radial):
        if prior.radius is None:
            return None
        law = stats.beta((d - 1) / 2, (d - 1) / 2, -prior.radius, 2 * prior.radius)
        return Projection(law.ppf, law.isf, np.zeros(d), np.full(d, prior.radius**2 / d))
    if isinstance(prior, Product):
        laws: list[Any] = [None] * prior.d
        for own, columns in zip(prior.laws, prior.columns, strict=True):
            for column in columns:
                laws[column] = own
    elif isinstance(prior, Gaussian | Uniform):
        fields = [np.broadcast_to(np.asarray(value, dtype=float), (d,)) for value in vars(prior).values()]
        laws = [type(prior)(float(a), float(b)) for a, b in zip(*fields, strict=True)]
    elif isinstance(prior, Prior) or (d == 1 and isinstance(prior, Law)):
        laws = [prior] * d
    else:
        return None
    law = laws[0] if d == 1 else sum_law(laws, direction)
    return Projection(
        law.icdf, law.isf, *(np.array([float(getattr(one, of)) for one in laws]) for of in ("mean", "var"))
    )
