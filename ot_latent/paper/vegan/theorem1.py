"""Theorem 1 of Bousquet et al. (2017) on finite spaces: random problems."""

import numpy as np


def random_problem(
    rng: np.random.Generator, random_decoder: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A random transport problem between data and what a decoder makes of codes, two to eight points in each space.

    Parameters
    ----------
    rng : numpy Generator
    random_decoder : bool
        Otherwise each code is decoded to one point, which it may share with others.

    Returns
    -------
    p_x, p_z : (n,), (k,) arrays
        Masses of the data points and of the codes.
    cost : (n, m) array
        c(x, y)
    decoder : (k, m) array
        P_G(y|z)

    Examples
    --------
    >>> _, _, _, decoder = random_problem(np.random.default_rng(0), random_decoder=False)
    >>> decoder.sum(1)
    array([1., 1., 1., 1., 1., 1.])
    """
    n, k, m = rng.integers(2, 9, 3)
    decoder = np.eye(m)[rng.integers(m, size=k)]
    if random_decoder:
        decoder = rng.dirichlet(np.ones(m), size=k)
    p_x, p_z = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(k))
    return p_x, p_z, rng.exponential(size=(n, m)), decoder
