"""Priors whose coordinates have different laws."""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace

from ot_latent._arrays import as_floating, cast_like, generator, parameter
from ot_latent.priors.laws import Prior


class Product:
    """Independent coordinates, each with a law of its own, along the last axis.

    Operations also take the sequence of laws itself: ``prior=[Uniform(-1, 1), Gaussian(0, 2)]``.

    Parameters
    ----------
    laws : sequence of d laws

    Raises
    ------
    TypeError
        If an entry is not a law with a ``combine``.

    Examples
    --------
    >>> from ot_latent import Gaussian, Uniform
    >>> prior = Product([Uniform(-1, 1), Gaussian(0, 2), Gaussian(0, 2)])
    >>> prior.sample((5, 3), rng=0).shape
    (5, 3)
    """

    def __init__(self, laws):
        laws = list(laws)
        for law in laws:
            if not isinstance(law, Prior):
                raise TypeError(f"every entry of a sequence of priors must be a law, got {law!r}")
        self.d = len(laws)
        distinct = []
        for law in laws:
            if law not in distinct:
                distinct.append(law)
        self.groups = [(law, np.array([i for i, other in enumerate(laws) if other == law])) for law in distinct]

    @classmethod
    def _of(cls, groups, d):
        product = cls.__new__(cls)
        product.groups, product.d = groups, d
        return product

    def __repr__(self):
        return f"Product of {self.d} coordinates with {len(self.groups)} laws"

    def combine(self, weights):
        """The law of w_1 Z_1 + ... + w_k Z_k, again a `Product`; see `Uniform.combine`.

        Parameters
        ----------
        weights : array (k,) or (k, ...)
            Where there are more axes, the last is that of the coordinates: of length d or 1.
        """
        weights = parameter(weights, "weights")
        return Product._of(
            [(law.combine(self._part(weights, columns)), columns) for law, columns in self.groups], self.d
        )

    def _part(self, weights, columns):
        several = not isinstance(weights, float) and weights.ndim > 1 and weights.shape[-1] > 1
        return weights[..., columns] if several else weights

    def apply(self, functions, x):
        """``functions[g]`` on the coordinates of group g."""
        x = as_floating(x)
        if x.shape[-1] != self.d:
            raise ValueError(
                f"x must have {self.d} coordinates along the last axis, one for each law of the "
                f"prior, got shape {tuple(x.shape)}"
            )
        parts = [f(x[..., columns]) for f, (_, columns) in zip(functions, self.groups, strict=True)]
        order = np.argsort(np.concatenate([columns for _, columns in self.groups]))
        return array_namespace(x).concat(parts, axis=-1)[..., order]

    def cdf(self, x):
        return self.apply([law.cdf for law, _ in self.groups], x)

    def sf(self, x):
        return self.apply([law.sf for law, _ in self.groups], x)

    def pdf(self, x):
        """The densities of the coordinates; that of the point is their product."""
        return self.apply([law.pdf for law, _ in self.groups], x)

    def icdf(self, p):
        return self.apply([law.icdf for law, _ in self.groups], p)

    def isf(self, q):
        return self.apply([law.isf for law, _ in self.groups], q)

    def _each(self, attribute):
        values = np.empty(self.d)
        for law, columns in self.groups:
            values[columns] = getattr(law, attribute)
        return values

    @property
    def mean(self):
        return self._each("mean")

    @property
    def var(self):
        return self._each("var")

    @property
    def support(self):
        ends = np.empty((2, self.d))
        for law, columns in self.groups:
            ends[:, columns] = np.array(law.support)[:, None]
        return tuple(ends)

    def sample(self, shape, rng=None, like=None):
        """Independent draws, `shape` ending in d; see `Uniform.sample`."""
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        if shape[-1] != self.d:
            raise ValueError(f"shape must end in {self.d}, one for each law, got {shape}")
        rng = generator(rng, like)
        parts = [law.sample((*shape[:-1], len(c)), rng, like) for law, c in self.groups]
        order = np.argsort(np.concatenate([columns for _, columns in self.groups]))
        return cast_like(array_namespace(parts[0]).concat(parts, axis=-1)[..., order], like)


def as_prior(prior):
    """A sequence of laws as a `Product`; other priors as they are."""
    return Product(prior) if isinstance(prior, list | tuple) else prior
