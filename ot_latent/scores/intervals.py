"""95 % intervals of ratios and proportions."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats


def ratio_of_means(first: np.ndarray, second: np.ndarray) -> tuple[float, tuple[float, float]]:
    """mean(first) / mean(second) of two independent samples, with a 95 % interval to first order."""
    means = np.mean(first), np.mean(second)
    relative = math.hypot(stats.sem(first) / means[0], stats.sem(second) / means[1])
    ratio = float(means[0] / means[1])
    return ratio, (ratio * (1 - 1.96 * relative), ratio * (1 + 1.96 * relative))


def ratio_of_paired_means(first: np.ndarray, second: np.ndarray) -> tuple[float, tuple[float, float]]:
    """mean(first) / mean(second) of numbers of the same images, with a 95 % interval to first order."""
    ratio = float(np.mean(first) / np.mean(second))
    half = 1.96 * float(stats.sem(first - ratio * second) / abs(np.mean(second)))
    return ratio, (ratio - half, ratio + half)


def proportion_interval(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion."""
    interval = stats.binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)
