"""How far two samples are from one law: by the energy distance, which asks for no density.

Distances enter by their roots, one of the exponents in (0, 2) for which it vanishes only between equal laws
(Szekely and Rizzo 2013): small ones count more, and holes that a law should have are found sooner.
"""

import numpy as np
import torch
from scipy import stats

_PERMUTATIONS = 200


def energy_distance(x: torch.Tensor, y: torch.Tensor) -> tuple[float, torch.Tensor, torch.Tensor]:
    """Energy distance 2 E‖X - Y‖^½ - E‖X - X'‖^½ - E‖Y - Y'‖^½ of two laws, 0 where they are one.

    Parameters
    ----------
    x, y : (n, d) and (m, d)

    Returns
    -------
    value : float
        Without bias, so that it may be below 0.
    of_x, of_y : (n,) and (m,)
        How much each point adds: errors of the value are those of the two means, to first order.
    """
    x, y = x.double(), y.double()
    across, within, other = _roots(x, y), _roots(x, x).sum(1) / (len(x) - 1), _roots(y, y)
    value = 2 * across.mean() - within.mean() - other.sum() / (len(y) * (len(y) - 1))
    return float(value), 2 * (across.mean(1) - within), 2 * across.mean(0)


def same_law(x: torch.Tensor, y: torch.Tensor) -> float:
    """p-value of "x and y have one law", from the energy distance of as many points each: (n, d), (n, d).

    Small ones come from the gamma law with the moments of the distances after random permutations.
    """
    n, both = len(x), torch.cat([x, y]).double()
    side = np.repeat([1.0, -1.0], n)
    rng = np.random.default_rng(0)
    sides = torch.from_numpy(np.stack([side, *(rng.permutation(side) for _ in range(_PERMUTATIONS))])).to(both.device)
    found, *others = (-(sides @ _roots(both, both) * sides).sum(1) / n**2).cpu().numpy()
    mean, variance = np.mean(others), np.var(others)
    if not variance > 0:  # all points are equal
        return 1.0
    return float(stats.gamma.sf(found, mean**2 / variance, scale=variance / mean))


def _roots(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.cdist(x, y).sqrt_()
