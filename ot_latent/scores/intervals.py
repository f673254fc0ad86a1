"""95 % intervals of ratios, of proportions and, by the bootstrap, of any statistic."""

import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from ot_latent._arrays import count, real_numbers

_RESAMPLES = 200  # five of the resampled statistics lie beyond each end of a 95 % interval


def ratio_of_means(first: np.ndarray, second: np.ndarray) -> tuple[float, tuple[float, float]]:
    """mean(first) / mean(second) of two independent samples, with a 95 % interval to first order.

    Parameters
    ----------
    first, second : (n,) and (m,)

    Examples
    --------
    >>> ratio_of_means(np.array([2.0, 4.0]), np.array([2.0, 2.0]))
    (1.5, (0.52, 2.48))
    """
    first, second = _numbers(first, "first"), _numbers(second, "second")
    means = np.mean(first), np.mean(second)
    relative = math.hypot(stats.sem(first) / means[0], stats.sem(second) / means[1])
    ratio = float(means[0] / means[1])
    return ratio, (ratio * (1 - 1.96 * relative), ratio * (1 + 1.96 * relative))


def _numbers(values: np.ndarray, name: str) -> np.ndarray:
    values = real_numbers(values, name)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"{name} must have shape (n,), n at least 2, got {values.shape}")
    return values


def ratio_of_paired_means(first: np.ndarray, second: np.ndarray) -> tuple[float, tuple[float, float]]:
    """mean(first) / mean(second) of numbers of the same images, with a 95 % interval to first order.

    Parameters
    ----------
    first, second : (n,)
    """
    first, second = _numbers(first, "first"), _numbers(second, "second")
    if len(first) != len(second):
        raise ValueError(f"first and second must have one length, got {len(first)} and {len(second)}")
    ratio = float(np.mean(first) / np.mean(second))
    half = 1.96 * float(stats.sem(first - ratio * second) / abs(np.mean(second)))
    return ratio, (ratio - half, ratio + half)


def mean_of_seeds(values: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """Mean of what several training seeds gave, with Student's 95 % interval.

    Examples
    --------
    >>> mean, (low, high) = mean_of_seeds([1.0, 2.0, 3.0])
    >>> mean, round(low, 2), round(high, 2)
    (2.0, -0.48, 4.48)
    """
    values = _numbers(values, "values")
    mean = float(np.mean(values))
    half = float(stats.t.isf(0.025, len(values) - 1) * stats.sem(values))
    return mean, (mean - half, mean + half)


def proportion_interval(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion.

    Examples
    --------
    >>> [round(end, 3) for end in proportion_interval(97, 100)]
    [0.915, 0.99]
    """
    trials = count(trials, "trials")
    interval = stats.binomtest(count(successes, "successes", 0, trials), trials).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def bootstrap_interval(
    samples: Sequence[np.ndarray], statistic: Callable[..., np.ndarray], rng: np.random.Generator, paired: bool = False
) -> tuple[float, float]:
    """95 % interval of a statistic by the percentile bootstrap.

    Parameters
    ----------
    samples : sequence of (n,) arrays
    statistic : callable
        ``statistic(*samples, axis=axis)``: arrays (1, n) -> (1,).
    rng : numpy Generator
    paired : bool
        The samples are numbers of the same things, drawn again together.

    References
    ----------
    Efron and Tibshirani (1993), An introduction to the bootstrap, chapter 13.

    Examples
    --------
    >>> low, high = bootstrap_interval((np.arange(101.0),), np.median, np.random.default_rng(0))
    >>> low < 50 < high
    True
    """
    with warnings.catch_warnings():
        # a statistic that is NaN, as 0 over 0, has an interval that is
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        # one at a time: n may be 50,000, and the statistic one of (n, 1000) probabilities
        chosen = {"n_resamples": _RESAMPLES, "batch": 1, "vectorized": True, "method": "percentile"}
        result = stats.bootstrap(samples, statistic, paired=paired, confidence_level=0.95, rng=rng, **chosen)
    low, high = result.confidence_interval
    return float(low), float(high)
