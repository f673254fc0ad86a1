"""Theorem 1 of Bousquet et al. (2017) on finite spaces: random problems."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Problem(NamedTuple):
    """P_X (n,), P_Z (k,), costs c(x, y) (n, m) and the decoder P_G(y|z) (k, m)."""

    p_x: np.ndarray
    p_z: np.ndarray
    cost: np.ndarray
    decoder: np.ndarray


def random_problem(rng: np.random.Generator, random_decoder: bool) -> Problem:
    """Two to eight points in each of the three spaces; otherwise each z has one y, perhaps shared."""
    n, k, m = rng.integers(2, 9, 3)
    decoder = np.eye(m)[rng.integers(m, size=k)]
    if random_decoder:
        decoder = rng.dirichlet(np.ones(m), size=k)
    p_x, p_z = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(k))
    return Problem(p_x, p_z, rng.exponential(size=(n, m)), decoder)
