"""What a law of one latent coordinate offers, and how several laws act as one."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from array_api_compat import array_namespace, device, is_torch_array

from ot_latent._arrays import as_floating, cast_like, draw, generator
from ot_latent._progress import progress


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
        draws = draw("uniform", shape, rng, like)  # replaced below, entry by entry

        def sampler(law):
            return lambda x: law.sample(x.shape, rng, like=x)

        samplers = [sampler(law) for law in self.laws]
        return cast_like(apply_per_entry(samplers, self.index, draws), like)


def per_distinct_column(combine, weights):
    """``combine(column)`` for each distinct weight vector of `weights` (k, ...)."""
    if is_torch_array(weights):
        weights = weights.cpu().double().numpy()
    columns = weights.reshape(len(weights), -1)
    distinct, index = np.unique(columns, axis=1, return_inverse=True)
    laws = tuple(combine(column) for column in progress(distinct.T, "laws of weighted sums"))
    return LawPerEntry(laws, index.reshape(weights.shape[1:]))


def apply_per_entry(functions, index, x):
    """Apply ``functions[i]`` to the points of `x` where `index`, broadcast against it, is i."""
    x = as_floating(x)
    xp = array_namespace(x)
    shape = np.broadcast_shapes(x.shape, index.shape)
    x, index = xp.broadcast_to(x, shape), np.broadcast_to(index, shape)
    result = xp.zeros(shape, dtype=x.dtype, device=device(x))
    for i, function in enumerate(functions):
        here = xp.asarray(index == i, device=device(x))
        result[here] = function(x[here])
    return result
