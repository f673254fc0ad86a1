"""The optimal map from the law of a weighted sum back to the prior."""

from collections.abc import Sequence
from typing import Any

from array_api_compat import array_namespace

from ot_latent._arrays import Array
from ot_latent.monotone import map_of_points

# Each weight vector fits into single precision, and so does its inverted scale.
_LARGEST_WEIGHT = 1e30


def map_back(
    weights: Array, prior: Any, count: int, laws: Sequence[Any] | None = None, correlation: Array = None
) -> Any:
    """The map from the law of w_1 z_1 + ... + w_k z_k to the prior, as it is best for `count` numbers.

    Parameters
    ----------
    weights : array (k,) or (k, ...)
    prior : law
    count : int
    laws : sequence of k laws, optional
        Of the z_i, where they do not follow the prior.
    correlation : float or array (k, k), optional
        Of the z_i, where they depend on each other.

    Raises
    ------
    ValueError
        If weights are too large or too small, or points are correlated whose law says no more than that.
    """
    largest = array_namespace(weights).max(abs(weights), axis=0)
    too_small = (largest > 0) & (largest < 1 / _LARGEST_WEIGHT)
    if bool((too_small | (largest > _LARGEST_WEIGHT)).any()):
        raise ValueError(
            f"the largest weight of a matched sum must be between {1 / _LARGEST_WEIGHT:g} and "
            f"{_LARGEST_WEIGHT:g}, got {weights}: multiply all by one number, the result is the same"
        )
    if correlation is not None:
        if laws is not None or not getattr(prior, "takes_correlation", False):
            raise ValueError(
                "correlation is for points that follow one normal law, Gaussian or MultivariateGaussian: of others it "
                f"does not tell the law of a sum. With prior={prior!r}, take points that are independent of each other"
            )
        return map_of_points(prior.combine(weights, correlation=correlation), prior, count)
    if laws is None:
        return map_of_points(prior.combine(weights), prior, count)
    from ot_latent.priors.scipy_prior import sum_law  # here, because sums of one law do without

    return map_of_points(sum_law(laws, weights), prior, count)
