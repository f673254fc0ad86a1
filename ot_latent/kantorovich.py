"""Exact optimal transport between two finite sets of points: Liu 2018, eqs. (12)-(14), (16), (17)."""

from dataclasses import dataclass
from math import gcd, isclose
from threading import local

import numpy as np
import ot
from scipy.spatial.distance import cdist

from ot_latent._arrays import Array, real_numbers

_SUMS = 1e-5  # relative difference of the sums of masses; single precision leaves 1e-7 and more
_TOLERANCE = 1e-9  # of the relative duality gap and infeasibility; rounding leaves 1e-15 where nothing is far away
_PIVOTS = 100_000_000  # the simplex method ends long before; a limit only guards against cycling
_ROUNDS = 5  # of refinement; one is the rule, three are rare
_GRAINS = 2.0**52  # of mass; floats hold their number, and sums of them, without rounding
_KEPT, _KEPT_BYTES = local(), 2**23  # arrays of a thread, and the most that it keeps
_LARGE = 2**14  # entries of a cost matrix that is worth a start better than zero
_SMALLEST = 1e-290  # squared distances below lose digits

_Pair = tuple[np.ndarray, np.ndarray]  # of the source and of the target


class ConvergenceError(RuntimeError):
    """The solver stopped before its solution was optimal."""


@dataclass(frozen=True, eq=False)
class KantorovichSolution:
    """Optimal transport from m source points to n target points with cost ‖x - y‖² / 2.

    Attributes
    ----------
    phi : (m,) float64
        Dual potential of the source, with mean 0.
    psi : (n,) float64
        Dual potential of the target; ``psi[j] - phi[i] <= cost[i, j]`` as in eq. (13).
    matching : (m,) int
        sigma of eq. (17). Every target j that receives mass from source i minimises
        cost[i, j] + phi[i] - psi[j]; where the plan splits a source between several of them, sigma is
        the one that receives most, and the first of those within a relative 1e-9 of it. For equal
        numbers of points with equal masses it is a permutation. A source without mass has the target that
        minimises this. The same arrays give the same matching.
        Points in another order give the same pairs if the optimal plan is unique and splits without
        ties; among several optimal plans, as duplicates have them, the order of the points decides.
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

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and all(
            np.array_equal(value, getattr(other, name)) for name, value in vars(self).items()
        )

    def __repr__(self) -> str:
        size = f"{len(self.phi)} -> {len(self.psi)} points"
        return f"KantorovichSolution({size}, cost={self.cost:.6g}, gap={self.gap:.1e})"


def solve_kantorovich(x: Array, y: Array, a: Array = None, b: Array = None) -> KantorovichSolution:
    """Solve the Kantorovich problem and its dual exactly, by the network simplex method.

    Parameters
    ----------
    x : (m, d) array-like
        Source points (the noise).
    y : (n, d) array-like
        Target points (the codes).
    a : (m,), b : (n,) array-like, optional
        Masses, not negative, with sums that are equal within a relative 1e-5; by default equal ones. Whole
        numbers with equal sums are taken as they are; others are scaled to sum 1 and rounded to multiples
        of 2^-52. Points without mass get the potentials that they would have with a little of it.

    Returns
    -------
    KantorovichSolution

    Raises
    ------
    ValueError
        If shapes disagree, values are not finite, squared distances overflow or underflow, masses are
        negative, all zero, or their sums differ.
    TypeError
        If points or masses are not real numbers.
    ConvergenceError
        If the duality gap, with masses as they came, exceeds 1e-9 of the optimal cost, the violation of a
        constraint 1e-9 of its right-hand side or of the optimal cost, if masses that were rounded to zero
        could change the cost by as much, or if the simplex method stops early.

    Notes
    -----
    Offsets and units of the points do not matter beyond the digits of the points themselves: with an
    offset of 1e8 they keep eight behind the point. Out of reach of double precision are plans that
    must move a little mass so far that potentials, which hold squared distances, lack the digits of
    the mean cost; they end in a ``ConvergenceError``.

    References
    ----------
    Liu et al. (2018), eqs. (12)-(14), (16) and (17).

    Examples
    --------
    >>> solution = solve_kantorovich([[0.0], [3.0]], [[4.0], [1.0]])
    >>> solution.matching, solution.cost
    (array([1, 0]), 0.5)
    """
    x, y, masses = _problem(x, y, a, b)
    # Differences before squares: ‖x‖² + ‖y‖² - 2xy would lose the digits of close pairs.
    cost, *work = _arrays((len(x), len(y)))
    cdist(x, y, "sqeuclidean", out=cost)
    cost /= 2
    largest = cost.max()
    if not np.isfinite(largest) or (largest < _SMALLEST and ((x != y[0]).any() or (y != y[0]).any())):
        what = f"the largest squared distance between x and y, {2 * largest:.1e}"
        raise ValueError(f"{what}, is out of range; scale the points")
    return _solved(cost, masses, work)


def solve_w1(x: Array, y: Array, a: Array = None, b: Array = None) -> float:
    """The exact 1-Wasserstein distance between two finite sets of points, cost ‖x - y‖.

    Parameters
    ----------
    x, y, a, b
        As in `solve_kantorovich`.

    Returns
    -------
    float
        The least mean of ‖x - y‖ over all couplings, with a relative duality gap of at most 1e-9.

    Raises
    ------
    ValueError, ConvergenceError
        As in `solve_kantorovich`.

    References
    ----------
    Bousquet et al. (2017), eqs. (1) and (2).

    Examples
    --------
    >>> solve_w1([[0.0], [3.0]], [[4.0], [1.0]])
    1.0
    """
    x, y, masses = _problem(x, y, a, b)
    cost, *work = _arrays((len(x), len(y)))
    cdist(x, y, out=cost)
    if not np.isfinite(cost.max()):
        raise ValueError("the distances between x and y overflow; scale the points")
    return _solved(cost, masses, work).cost


def _problem(x: Array, y: Array, a: Array, b: Array) -> tuple[np.ndarray, np.ndarray, _Pair]:
    """Points and masses after they were checked."""
    x, y = _points(x, "x"), _points(y, "y")
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"x and y must have the same dimension, got {x.shape[1]} and {y.shape[1]}")
    a, b = _masses(a, len(x), "a"), _masses(b, len(y), "b")
    if not isclose(a.sum(), b.sum(), rel_tol=_SUMS):
        raise ValueError(f"a and b must have equal sums, got {a.sum()} and {b.sum()}: divide each by its own")
    return x, y, (a, b)


def _arrays(shape: tuple[int, int]) -> np.ndarray:
    """Three arrays for the work of this thread; it keeps small ones for its next problem.

    The system would take them back in between, and new pages cost a quarter of the time of m = 256.
    """
    arrays = getattr(_KEPT, "arrays", np.empty((3, 0, 0)))
    if arrays.shape[1:] != shape:
        arrays = np.empty((3, *shape))
        if arrays.nbytes <= _KEPT_BYTES:
            _KEPT.arrays = arrays
    return arrays


def _whole(a: np.ndarray, b: np.ndarray) -> _Pair:
    """Masses as whole numbers with equal sums: flows of them have no rounding, and none goes astray for it."""
    used = a[a > 0], b[b > 0]
    if all(np.ptp(masses) == 0 for masses in used):
        common = gcd(*map(len, used))
        return (a > 0) * (len(used[1]) / common), (b > 0) * (len(used[0]) / common)
    if a.sum() == b.sum() <= 2 * _GRAINS and all((masses == np.rint(masses)).all() for masses in used):
        return a, b
    return _grains(a), _grains(b)


def _grains(masses: np.ndarray) -> np.ndarray:
    """Masses in grains of 2^-52 of their sum; the heaviest takes what rounding leaves."""
    grains = np.rint(masses / masses.sum() * _GRAINS)
    grains[grains.argmax()] += _GRAINS - grains.sum()
    return grains


def _solved(cost: np.ndarray, masses: _Pair, work: list[np.ndarray]) -> KantorovichSolution:
    """The solution between the points that have mass, and what follows from it for the others."""
    whole, shares = _whole(*masses), [values / values.sum() for values in masses]
    i, j = (np.flatnonzero(values) for values in whole)
    if (len(i), len(j)) == cost.shape:
        return _refined(cost, whole, shares, work)
    part = cost[np.ix_(i, j)]
    found = _refined(part, (whole[0][i], whole[1][j]), [shares[0][i], shares[1][j]], list(np.empty((2, *part.shape))))
    lost = max(values[grains == 0].sum() for values, grains in zip(shares, whole, strict=True)) * cost.max()
    if lost > _TOLERANCE * found.cost:
        raise ConvergenceError(
            f"masses below 2^-53 of their sum, too small for double precision, would add up to {lost:.1e} to the cost "
            f"{found.cost:.1e}: leave these points out, or solve for them alone"
        )
    gain = found.psi - cost[:, j]
    phi, matching = gain.max(axis=1), j[gain.argmax(axis=1)]
    phi[i], matching[i] = found.phi, j[found.matching]
    psi = (cost + phi[:, None]).min(axis=0)
    psi[j] = found.psi
    return KantorovichSolution(phi - phi.mean(), psi - phi.mean(), matching, found.cost, found.gap)


def _refined(cost: np.ndarray, masses: _Pair, shares: list[np.ndarray], work: list[np.ndarray]) -> KantorovichSolution:
    """Solve, with smaller costs until the solution is exact relative to the optimal cost.

    The simplex method resolves costs relative to the largest, which can be far above those that an
    optimal plan pays. Two operations make it smaller and keep that plan optimal. Potentials are taken
    off the costs: those of the remaining problem add to them. And costs are capped at min(m, n) times
    the largest that the plan pays: a cycle of the residual graph has at most min(m, n) arcs
    backwards, so none with a capped arc is negative. Potentials of a capped problem are feasible for
    the whole one, and differ among each other by no more than the cap.
    """
    arcs = 2 * min(cost.shape)  # twice, since the plan at hand is only nearly optimal
    phi, left = _start(cost, work[0])
    for _ in range(_ROUNDS):
        plan, change = _simplex(left, *masses)
        # two c-transforms: no constraint is violated, and the dual value only grows
        psi = np.add(cost, (phi + change)[:, None], out=work[0]).min(axis=0)
        phi = np.subtract(psi, cost, out=work[0]).max(axis=1)
        try:
            return _checked(cost, masses, shares, plan, (phi, psi), work)
        except ConvergenceError as error:
            failure = error
        left, cap = cost, arcs * cost[plan > 0].max()
        if np.ptp(phi) > cap:  # larger than they need be, hence without the last digits: start anew
            phi = np.zeros_like(phi)
        else:
            left = cost + phi[:, None] - psi
            cap = arcs * left[plan > 0].max()
        if cap == 0:  # no slack is left where mass goes; what is wrong lies in the last digits
            break
        left = np.minimum(left, cap)
    raise failure


def _start(cost: np.ndarray, work: np.ndarray) -> _Pair:
    """A source potential to start from, and in ``work`` what it leaves of the costs.

    After four rounds of Sinkhorn's iteration the simplex method has fewer pivots to do. Any potential
    would do: neither masses nor single precision spoil the solution. A small problem is not worth it.
    """
    if cost.size < _LARGE:
        np.copyto(work, cost)
        return np.zeros(len(cost)), work
    temperature = cost.mean() / 50  # low, so that potentials are near those without entropy
    with np.errstate(all="ignore"):
        kernel = np.exp(np.divide(cost, -temperature, out=work), dtype=np.float32)
        kernel += np.float32(1e-20)  # a way to points far from all others, too
        target = np.ones(cost.shape[1], np.float32)
        for _ in range(4):
            source = 1 / np.einsum("ij,j->i", kernel, target)
            target = 1 / np.einsum("i,ij->j", source, kernel)
        phi = np.nan_to_num(-temperature * np.log(source, dtype=float), posinf=0, neginf=0)
    left = np.add(cost, phi[:, None], out=work)
    left -= left.min(axis=0)
    return phi, left


def _simplex(cost: np.ndarray, a: np.ndarray, b: np.ndarray) -> _Pair:
    """Plan and source potential by the network simplex method; scales ``cost`` in place."""
    # It compares reduced costs with absolute thresholds: give it costs of at most 1.
    unit = cost.max() or 1.0
    cost /= unit
    plan, log = ot.emd(a, b, cost, numItermax=_PIVOTS, log=True)
    if log["warning"] is not None:
        raise ConvergenceError(f"the network simplex method stopped early: {log['warning']}")
    return plan, -unit * log["u"]


def _checked(
    cost: np.ndarray, masses: _Pair, shares: list[np.ndarray], plan: np.ndarray, dual: _Pair, work: list[np.ndarray]
) -> KantorovichSolution:
    """The solution, after its optimality was verified rather than assumed, with masses before their rounding."""
    (a, b), (phi, psi) = masses, dual
    primal = np.multiply(cost, plan, out=work[0]).sum() / a.sum()
    if primal == 0:  # costs are not negative: these are optimal, and have no rounding
        phi, psi = np.zeros_like(phi), np.zeros_like(psi)
    phi, psi = phi - phi.mean(), psi - phi.mean()
    value = psi @ shares[1] - phi @ shares[0]
    most = plan.max(axis=1, keepdims=True)
    matching = (plan >= (1 - _TOLERANCE) * most).argmax(axis=1)
    scale = max(primal, np.finfo(float).tiny)
    gap = abs(primal - value) / scale
    slack = np.add(cost, phi[:, None], out=work[0])
    slack -= psi
    slack /= np.maximum(cost, scale, out=work[1])
    violations = (
        -slack.min(),
        slack[np.arange(len(phi)), matching].max(),
        np.abs(plan.sum(axis=1) - a).max() / a.max(),
        np.abs(plan.sum(axis=0) - b).max() / b.max(),
    )
    if gap > _TOLERANCE or max(violations) > _TOLERANCE:
        raise ConvergenceError(
            f"the transport problem of size {cost.shape} was not solved: relative duality gap {gap:.1e}, "
            f"infeasibility {max(violations):.1e}, both must be below {_TOLERANCE:.0e}. The usual cause "
            f"is an outlier: the largest cost is {cost.max() / scale:.1e} times the optimal one."
        )
    return KantorovichSolution(phi, psi, matching, float(primal), float(gap))


def _points(values: Array, name: str) -> np.ndarray:
    values = real_numbers(values, name)
    if values.ndim != 2 or not len(values):
        raise ValueError(f"{name} must have shape (points, dimension), got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds NaN or infinite values")
    return values


def _masses(values: Array, count: int, name: str) -> np.ndarray:
    if values is None:
        return np.full(count, 1 / count)
    values = real_numbers(values, name)
    if values.shape != (count,):
        raise ValueError(f"{name} must have shape ({count},), got {values.shape}")
    with np.errstate(over="ignore"):
        total = values.sum()
    if not (values >= 0).all() or not 0 < total < np.inf:
        raise ValueError(f"{name} must hold finite masses, none negative and not all zero")
    return values
