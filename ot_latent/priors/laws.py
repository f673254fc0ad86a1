"""What a law of one latent coordinate offers, and how several laws act as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from array_api_compat import array_namespace, device, is_torch_array

from ot_latent._arrays import as_floating, cast_like, draw, generator, parameter, progress, side_by_side

_PIECE = 2**14  # numbers that a function sees at a time


@runtime_checkable
class Law(Protocol):
    """What a law of one coordinate offers. All methods are elementwise, for numpy and torch.

    ``sf`` is 1 - cdf and ``isf`` its inverse, accurate in the upper tail, where cdf rounds to 1.
    """

    @property
    def mean(self) -> Any: ...
    @property
    def var(self) -> Any: ...
    @property
    def support(self) -> tuple: ...
    def pdf(self, x): ...
    def cdf(self, x): ...
    def sf(self, x): ...
    def icdf(self, p): ...
    def isf(self, q): ...
    def sample(self, shape, rng=None, like=None): ...


@runtime_checkable
class Prior(Law, Protocol):
    """A law that also knows the law of a weighted sum of its own independent copies."""

    def combine(self, weights) -> Law: ...


@dataclass(frozen=True, eq=False)
class LawPerEntry:
    """Several laws, one for each entry of `index`, which broadcasts against the points."""

    laws: tuple
    index: np.ndarray

    def __repr__(self):
        return f"LawPerEntry({len(self.laws)} laws, index of shape {self.index.shape})"

    def _each(self, attribute):
        return [getattr(law, attribute) for law in self.laws]

    @property
    def mean(self):
        return np.array(self._each("mean"))[self.index]

    @property
    def var(self):
        return np.array(self._each("var"))[self.index]

    @property
    def support(self):
        low, high = np.array(self._each("support")).T
        return low[self.index], high[self.index]

    def pdf(self, x):
        return apply_per_entry(self._each("pdf"), self.index, x)

    def cdf(self, x):
        return apply_per_entry(self._each("cdf"), self.index, x)

    def sf(self, x):
        return apply_per_entry(self._each("sf"), self.index, x)

    def icdf(self, p):
        return apply_per_entry(self._each("icdf"), self.index, p)

    def isf(self, q):
        return apply_per_entry(self._each("isf"), self.index, q)

    def sample(self, shape, rng=None, like=None):
        """Independent draws; see `Uniform.sample`."""
        rng = generator(rng, like)
        return cast_like(self.icdf(draw("uniform", shape, rng, like)), like)


def per_distinct_column(combine, weights):
    """``combine(column)`` for each distinct weight vector of `weights` (k, ...)."""
    if is_torch_array(weights):
        weights = weights.cpu().double().numpy()
    columns = weights.reshape(len(weights), -1)
    distinct, index = np.unique(columns, axis=1, return_inverse=True)
    laws = tuple(combine(column) for column in progress(distinct.T, "laws of weighted sums"))
    return LawPerEntry(laws, index.reshape(weights.shape[1:]))


def apply_per_entry(functions, index, x):
    """Apply ``functions[i]`` to the points of `x` where `index`, broadcast against it, is i.

    They are called with flat arrays of points.
    """
    x = as_floating(x)
    xp = array_namespace(x)
    shape = np.broadcast_shapes(x.shape, index.shape)
    x = xp.broadcast_to(x, shape)
    # what the index does not tell apart stays together: rows of x
    index = index.reshape((1,) * (len(shape) - index.ndim) + index.shape)
    apart = 1 + max((i for i, n in enumerate(index.shape) if n > 1), default=-1)
    index = np.broadcast_to(index[(..., *[0] * (len(shape) - apart))], shape[:apart]).ravel()
    rows = xp.reshape(x, (len(index), -1))
    groups = np.split(np.argsort(index, kind="stable"), np.cumsum(np.bincount(index))[:-1])
    pairs = [(f, group) for f, group in zip(functions, groups, strict=False) if len(group)]

    def values(function, group):
        points = rows[xp.asarray(group, device=device(x))]
        return xp.reshape(function(xp.reshape(points, (-1,))), points.shape)

    if is_torch_array(x):  # in one expression, for gradients
        back = np.argsort(np.concatenate([group for _, group in pairs]))
        in_groups = xp.concat([values(*pair) for pair in pairs])
        return xp.reshape(in_groups[xp.asarray(back, device=device(x))], shape)
    result = np.empty(rows.shape, dtype=x.dtype)

    def fill(function, group):
        result[group] = values(function, group)

    few = max(1, _PIECE // rows.shape[1])
    pieces = ((f, g[i : i + few]) for f, g in pairs for i in range(0, len(g), few))
    side_by_side(fill, pieces)
    return result.reshape(shape)


def check_weights(weights):
    """`weights` as a finite array (k, ...) in which no weight vector is all zero."""
    weights = parameter(weights, "weights")
    if isinstance(weights, float) or weights.ndim == 0 or weights.shape[0] == 0:
        raise ValueError("weights must have one entry per point to combine, along the first axis")
    xp = array_namespace(weights)
    if not bool(xp.all(xp.any(weights != 0, axis=0))):
        raise ValueError("weights must not all be zero: such a sum has no law to match")
    return weights


def require_no_gradient(weights, what):
    """Raise TypeError if the weights ask for a gradient that the law cannot give."""
    if getattr(weights, "requires_grad", False):
        raise TypeError(
            f"weights must not require a gradient here: {what} from their values. Detach them; "
            "gradients still flow to the points."
        )
