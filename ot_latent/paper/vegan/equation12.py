"""Equation (12) of Bousquet et al. (2017) on finite spaces: the relaxed constraint."""

import numpy as np
import ot
from scipy.optimize import linprog, minimize
from scipy.special import logsumexp, rel_entr


class Relaxation:
    """The relaxed transport cost of eq. (12), for two convex penalties F.

    W^lambda = min over Q of E c(X, G(Z)) + lambda F(Q).

    Parameters
    ----------
    p_x, p_z : (n,), (k,) arrays
    cost : (n, k) array
        c(x, G(z)).
    """

    def __init__(self, p_x: np.ndarray, p_z: np.ndarray, cost: np.ndarray) -> None:
        self.p_x, self.p_z, self.cost = p_x, p_z, cost
        n, k = cost.shape
        # margins of a plan
        self._of_x, self._of_z = np.kron(np.eye(n), np.ones(k)), np.kron(np.ones(n), np.eye(k))
        # in the linear programs k more unknowns are at least |Q_Z - P_Z|
        rows = np.block([[self._of_z, -np.eye(k)], [-self._of_z, -np.eye(k)]])
        self._excess = rows, np.r_[p_z, -p_z]
        self._equal = np.c_[self._of_x, np.zeros(cost.shape)], p_x

    def total_variation(self, weight: float) -> tuple[float, float]:
        """W^lambda and mu_lambda for the total variation, F = sum_z |Q_Z(z) - P_Z(z)| / 2: a linear program."""
        k = len(self.p_z)
        found = linprog(np.r_[self.cost.ravel(), np.full(k, weight / 2)], *self._excess, *self._equal)
        return found.fun, found.x[-k:].sum() / 2

    def constrained(self, mu: float) -> float:
        """The least cost with F(Q) <= mu instead of the penalty, for the same F."""
        (rows, bound), k = self._excess, len(self.p_z)
        rows = np.vstack([rows, np.r_[np.zeros(self.cost.size), np.ones(k)]])
        price = np.r_[self.cost.ravel(), np.zeros(k)]
        return linprog(price, rows, np.r_[bound, 2 * mu], *self._equal).fun

    def kullback_leibler(self, weight: float) -> tuple[float, float, float]:
        """W^lambda from below and from above, and mu_lambda, for F = KL(Q_Z ‖ P_Z).

        Solves the dual, max over psi and s <= c + psi of E s(X) - lambda log E exp(psi(Z) / lambda).
        Any psi gives a lower bound, and Q_Z proportional to P_Z exp(psi / lambda) an upper one.
        """
        p_x, p_z, n = self.p_x, self.p_z, len(self.p_x)
        below = np.hstack([-self._of_x.T, self._of_z.T])  # c + psi - s >= 0

        def negative(v: np.ndarray) -> tuple[float, np.ndarray]:
            level = logsumexp(v[n:] / weight, b=p_z)
            return weight * level - p_x @ v[:n], np.r_[-p_x, p_z * np.exp(v[n:] / weight - level)]

        rule = {"type": "ineq", "fun": lambda v: below @ v + self.cost.ravel()}
        rule["jac"] = lambda v: below
        precise = {"maxiter": 2000, "ftol": 1e-15}
        start = np.zeros(n + len(p_z))
        psi = minimize(negative, start, jac=True, method="SLSQP", constraints=rule, options=precise).x[n:]
        level = logsumexp(psi / weight, b=p_z)
        q_z = p_z * np.exp(psi / weight - level)
        q_z /= q_z.sum()
        mu = rel_entr(q_z, p_z).sum()
        lower = p_x @ (self.cost + psi).min(1) - weight * level
        return lower, ot.emd2(p_x, q_z, self.cost) + weight * mu, mu
