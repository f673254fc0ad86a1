"""The law of a weighted sum of independent points that have different laws."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ot_latent._arrays import Array
from ot_latent.priors.gaussian import Gaussian
from ot_latent.priors.laws import Prior, check_weights, per_distinct_column, require_no_gradient
from ot_latent.priors.numerical.law import NumericalLaw
from ot_latent.priors.numerical.sums import PairSum, sum_of_terms, tabulated
from ot_latent.priors.numerical.tabulation import tabulate
from ot_latent.priors.scipy_prior import KEPT
from ot_latent.priors.uniform import Uniform, uniform_sum


def sum_law(laws: Sequence[Prior], weights: Array) -> Any:
    """The law of w_1 Z_1 + ... + w_k Z_k where each Z_i has a law of its own.

    Parameters
    ----------
    laws : sequence of k laws
        `Uniform`, `Gaussian` or `ScipyPrior`, with single numbers as parameters.
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
    laws, weights = list(laws), check_weights(weights)
    if len(weights) != len(laws):
        raise ValueError(f"weights must have one entry per law: got shape {tuple(weights.shape)} for {len(laws)} laws")
    if all(law == laws[0] for law in laws):
        return laws[0].combine(weights)
    require_no_gradient(weights, "a law is computed")
    if weights.ndim > 1:
        return per_distinct_column(functools.partial(_sum_law, laws), weights)
    return tabulated(_sum_law(laws, weights))


def _sum_law(laws: Sequence[Prior], weights: np.ndarray) -> Any:
    """`sum_law` for one weight vector, or a `PairSum`."""
    terms = [(law, float(w)) for law, w in zip(laws, weights, strict=True) if w != 0]
    if len(terms) == 1:
        law, weight = terms[0]
        return law.combine([weight])
    if all(isinstance(law, Gaussian) for law, _ in terms):
        mean = math.fsum(w * law.mean for law, w in terms)
        return Gaussian(mean, math.hypot(*(w * law.std for law, w in terms)))
    if all(isinstance(law, Uniform) for law, _ in terms):
        center = math.fsum(w * law.mean for law, w in terms)
        return uniform_sum(center, [w * law.half_width for law, w in terms])
    return _mixed_sum(tuple(terms))


@functools.lru_cache(maxsize=KEPT)
def _mixed_sum(terms: tuple[tuple[Any, float], ...]) -> NumericalLaw | PairSum:
    """The law of Σ w Z over (law, w) in `terms`, by quadrature."""
    tables = {law: law if isinstance(law, NumericalLaw) else tabulate(law) for law in dict(terms)}
    return sum_of_terms([(tables[law], w) for law, w in terms])
