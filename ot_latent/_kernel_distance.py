"""Kernel distance between sets of features: KID under any scorer."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ot_latent._features import feature_rows


class KernelDistance(NamedTuple):
    """An unbiased estimate and its standard error."""

    value: float
    error: float


def kernel_distance(samples, reference, block: int = 1_000) -> KernelDistance:
    """Squared maximum mean discrepancy with the kernel (x.y / d + 1)^3 (Binkowski et al. 2018, KID).

    Both sets are dealt into blocks; each pair of blocks gives an unbiased estimate, independent of
    the others, so that their mean is unbiased, around 0 for sets of one law, and their scatter gives
    its standard error. What does not fill a last block is left out.

    Parameters
    ----------
    samples, reference : (n, d) and (m, d)
    block : int
        Rows of a block; the matrices in memory are of this size.

    Returns
    -------
    KernelDistance

    Raises
    ------
    ValueError
        If features are not finite, not of one dimension, or fewer than two blocks of them.

    References
    ----------
    Binkowski, Sutherland, Arbel and Gretton (2018), Demystifying MMD GANs.

    Examples
    --------
    >>> x, y = np.random.default_rng(0).standard_normal((2, 5_000, 8))
    >>> value, error = kernel_distance(x, y)
    >>> abs(value) < 3 * error
    True
    """
    samples = feature_rows(samples, "samples")
    reference = feature_rows(reference, "reference", samples)
    blocks = min(len(samples), len(reference)) // block if block >= 2 else 0
    if blocks < 2:
        raise ValueError(
            f"block must be at least 2 and leave two blocks of {len(samples)} samples and of "
            f"{len(reference)} of the reference, got {block}"
        )
    # rows are dealt out in turn: data sets are often ordered, blocks must not be
    values = [
        _unbiased(samples[i::blocks][:block], reference[i::blocks][:block]) for i in range(blocks)
    ]
    return KernelDistance(float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(blocks)))


def _unbiased(x: np.ndarray, y: np.ndarray) -> float:
    """The U-statistic of MMD^2 of two blocks of one size (Gretton et al. 2012, eq. (3))."""

    def mean_of_others(kernel: np.ndarray) -> float:
        n = len(kernel)
        return (kernel.sum() - np.trace(kernel)) / (n * (n - 1))

    within = mean_of_others(_kernel(x, x)) + mean_of_others(_kernel(y, y))
    return within - 2 * _kernel(x, y).mean()


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1) ** 3
