"""Proposition 3 of Bousquet et al. (2017): witnesses of W1 that are almost optimal and whose gradients are wrong.

Two data points -1 and 1 and two generated points -s and s, with masses p and 1 - p for both pairs.
W1 is 1 - s, and f*(t) = |t| a best witness of J(f) = E f(X) - E f(G(Z)).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import integrate
from scipy.optimize import linprog

#: A function of numbers, or of arrays element by element.
Witness = Callable[[Any], Any]


def value(f: Witness, s: float, p: float) -> float:
    """The dual objective J(f)."""
    return p * (f(-1) - f(-s)) + (1 - p) * (f(1) - f(s))


def gradient(f: Witness, s: float, p: float, h: float = 1e-9) -> np.ndarray:
    """Gradient of J with respect to the two generated points, by difference quotients, (2,)."""
    return -np.array([p * (f(h - s) - f(-h - s)), (1 - p) * (f(s + h) - f(s - h))]) / (2 * h)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of the angle between two directions."""
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def spoiled(rho: float, s: float) -> Witness:
    """The 1-Lipschitz function within rho of f* that has the gradients of 2 s - |t| at both generated points."""
    return lambda t: np.clip(2 * s - abs(t), abs(t) - rho, abs(t) + rho)


def best_slopes(s: float, p: float, bend: float, cells: int = 1000) -> tuple[np.ndarray, np.ndarray, float]:
    """Slopes of the best smooth witness by linear programming: maximise J with |h'| <= 1 and |h''| <= bend.

    Returns
    -------
    places, slopes : (cells,) arrays
        On a grid of [-1, 1].
    value : float
        J of the best h.
    """
    edges = np.linspace(-1, 1, cells + 1)
    middle, width = (edges[1:] + edges[:-1]) / 2, 2 / cells
    price = width * np.where(middle < -s, p, np.where(middle > s, p - 1, 0))  # of minus J
    change = np.eye(cells, k=1)[:-1] - np.eye(cells)[:-1]
    most = np.full(2 * (cells - 1), bend * width)
    found = linprog(price, np.vstack([change, -change]), most, bounds=(-1, 1))
    return middle, found.x, -found.fun


def smooth(a: float, b: float, s: float, bend: float) -> Witness:
    """The slope h' that is a and b at the two points, and -1 and 1 as far out as |h''| <= bend allows."""

    def slope(t: np.ndarray) -> np.ndarray:
        outside = np.where(t < 0, a + bend * (t + s), b + bend * (t - s))
        return np.where(abs(t) < s, a + (b - a) * (t + s) / (2 * s), np.clip(outside, -1, 1))

    return slope


def value_of_slopes(slope: Witness, s: float, p: float) -> float:
    """The dual objective J(h) from the slope h', by the trapezoidal rule."""
    left, right = np.linspace(-1, -s, 100_001), np.linspace(s, 1, 100_001)
    gained = integrate.trapezoid(slope(right), right), integrate.trapezoid(slope(left), left)
    return (1 - p) * gained[0] - p * gained[1]


def primal_cosine(epsilon: float, s: float, p: float) -> float:
    """The least cosine over encoders that match the prior and cost at most W1 + epsilon.

    Such an encoder is one number, the mass that it sends to the wrong code.
    """
    leak = np.linspace(0, min(p, 1 - p, epsilon / (4 * s)), 201)
    gradients = np.stack([p - 2 * leak, 2 * leak - (1 - p)], 1)  # codes move to what they receive
    best = gradients[0]
    return (gradients @ best / np.linalg.norm(gradients, axis=1)).min() / np.linalg.norm(best)
