"""Exact optimal transport between two finite sets of points: Liu 2018, eqs. (12)-(14), (16), (17)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import ot

_TOLERANCE = 1e-9  # of the relative duality gap and of the relative infeasibility
_PIVOTS = 100_000_000  # the simplex method ends long before; a limit only guards against cycling


class ConvergenceError(RuntimeError):
    """The solver stopped before its solution was optimal."""


@dataclass(frozen=True)
class KantorovichSolution:
    """Optimal transport from m source points to n target points with cost ||x - y||^2 / 2.

    Attributes
    ----------
    phi : (m,) float64
        Dual potential of the source, with mean 0.
    psi : (n,) float64
        Dual potential of the target; ``psi[j] - phi[i] <= cost[i, j]`` as in eq. (13).
    matching : (m,) int
        sigma of eq. (17): the target that receives most of source i's mass, the first of them when they
        tie. It minimises cost[i, j] + phi[i] - psi[j] over j. For equal numbers of points with equal
        masses it is a permutation.
    cost : float
        Value of (12), which is the value of (13).
    gap : float
        Relative duality gap that was reached.
    """

    phi: np.ndarray
    psi: np.ndarray
    matching: np.ndarray
    cost: float
    gap: float

    @property
    def w2(self) -> float:
        """The 2-Wasserstein distance between the two sets, sqrt(2 cost)."""
        return float(np.sqrt(2 * self.cost))

    def __repr__(self) -> str:
        return (
            f"KantorovichSolution({len(self.phi)} -> {len(self.psi)} points, "
            f"cost={self.cost:.6g}, gap={self.gap:.1e})"
        )


def solve_kantorovich(x, y, a=None, b=None) -> KantorovichSolution:
    """Solve the Kantorovich problem and its dual exactly, by the network simplex method.

    Parameters
    ----------
    x : (m, d) array-like
        Source points (the noise).
    y : (n, d) array-like
        Target points (the codes).
    a : (m,), b : (n,) array-like, optional
        Positive masses with equal sums, which are scaled to 1; by default equal ones.

    Returns
    -------
    KantorovichSolution

    Raises
    ------
    ValueError
        If shapes disagree, values are not finite, masses are not positive or their sums differ.
    ConvergenceError
        If the relative duality gap or the infeasibility exceeds 1e-9.

    References
    ----------
    Liu et al. (2018), eqs. (12)-(14) and (17).
    """
    x, y = _points(x, "x"), _points(y, "y")
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"x and y must have the same dimension, got {x.shape[1]} and {y.shape[1]}")
    a, b = _masses(a, len(x), "a"), _masses(b, len(y), "b")
    if not np.isclose(a.sum(), b.sum(), rtol=1e-9):
        raise ValueError(f"a and b must have equal sums, got {a.sum()} and {b.sum()}")
    # Squared distances do not change when both clouds move; near the origin they keep their digits.
    center = y.mean(axis=0)
    cost = ot.dist(x - center, y - center) / 2
    # The solver compares reduced costs with absolute thresholds: give it costs of at most 1.
    unit = cost.max() or 1.0
    plan, log = ot.emd(a / a.sum(), b / b.sum(), cost / unit, numItermax=_PIVOTS, log=True)
    phi, psi = -unit * log["u"], unit * log["v"]
    gauge = phi.mean()
    return _checked(cost, plan, phi - gauge, psi - gauge, a / a.sum(), b / b.sum())


def _checked(cost, plan, phi, psi, a, b) -> KantorovichSolution:
    """The solution, after its optimality was verified rather than assumed."""
    primal, dual = float((cost * plan).sum()), float(psi @ b - phi @ a)
    scale = max(primal, float(np.abs(cost).max()) * np.finfo(float).eps, np.finfo(float).tiny)
    gap = abs(primal - dual) / scale
    violations = (
        (psi[None, :] - phi[:, None] - cost).max() / max(cost.max(), np.finfo(float).tiny),
        np.abs(plan.sum(1) - a).max() / a.max(),
        np.abs(plan.sum(0) - b).max() / b.max(),
    )
    if gap > _TOLERANCE or max(violations) > _TOLERANCE:
        raise ConvergenceError(
            f"the transport problem of size {cost.shape} was not solved: relative duality gap {gap:.1e}, "
            f"infeasibility {max(violations):.1e}, both must be below {_TOLERANCE:.0e}. "
            "Costs that span more than twelve orders of magnitude are the usual cause: rescale the points."
        )
    return KantorovichSolution(phi, psi, plan.argmax(axis=1), primal, gap)


def _points(values, name: str) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    if values.ndim != 2 or not len(values):
        raise ValueError(f"{name} must have shape (points, dimension), got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds NaN or infinite values")
    return values


def _masses(values, count: int, name: str) -> np.ndarray:
    if values is None:
        return np.full(count, 1 / count)
    values = np.asarray(values, dtype=float)
    if values.shape != (count,):
        raise ValueError(f"{name} must have shape ({count},), got {values.shape}")
    if not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(f"{name} must hold positive, finite masses")
    return values
