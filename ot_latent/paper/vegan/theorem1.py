"""Theorem 1 of Bousquet et al. (2017) on finite spaces: random problems."""

from typing import NamedTuple

import numpy as np


class Problem(NamedTuple):
    """A transport problem between data and what a decoder makes of codes.

    Attributes
    ----------
    p_x, p_z : (n,), (k,) arrays
        Masses of the data points and of the codes.
    cost : (n, m) array
        c(x, y)
    decoder : (k, m) array
        P_G(y|z)
    """

    p_x: np.ndarray
    p_z: np.ndarray
    cost: np.ndarray
    decoder: np.ndarray


def random_problem(rng: np.random.Generator, random_decoder: bool) -> Problem:
    """A random problem of two to eight points in each of the three spaces.

    Parameters
    ----------
    rng : numpy Generator
    random_decoder : bool
        Otherwise each code is decoded to one point, which it may share with others.

    Examples
    --------
    >>> problem = random_problem(np.random.default_rng(0), random_decoder=False)
    >>> problem.decoder.sum(1)
    array([1., 1., 1., 1., 1., 1.])
    """
    n, k, m = rng.integers(2, 9, 3)
    decoder = np.eye(m)[rng.integers(m, size=k)]
    if random_decoder:
        decoder = rng.dirichlet(np.ones(m), size=k)
    p_x, p_z = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(k))
    return Problem(p_x, p_z, rng.exponential(size=(n, m)), decoder)
