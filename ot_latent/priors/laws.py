"""What a prior of one latent coordinate offers, and how several laws act as one."""

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MethodType
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from array_api_compat import array_namespace, device, is_array_api_obj, is_torch_array

from ot_latent._arrays import (
    Array,
    Seed,
    as_floating,
    as_shape,
    cast_like,
    draw,
    limits,
    parameter,
    progress,
    side_by_side,
    wants_gradient,
)
from ot_latent.monotone import Distribution, MonotoneMap, map_of_points, monotone_map
from ot_latent.monotone import Law as Law


class PointPrior(Distribution, Protocol):
    """A prior of whole points: a `Product`, a `Radial` one, or one law for all coordinates."""

    def combine(self, weights: Array, /) -> Any: ...


@runtime_checkable
class Prior(Law, PointPrior, Protocol):
    """A law that also knows the law of a weighted sum of its own independent copies.

    Where ``combine`` takes batched weights, one for each entry, and answers by an expression in arrays, a
    prior has ``elementwise_weights``: up to how many weights that is so.
    """


# What operations take: one law for all coordinates, one for each, or the law of a whole point.
AnyPrior: TypeAlias = PointPrior | Sequence[Prior]


def _entry_by_entry(name: str) -> Callable[[Any, Array], Array]:
    """The method `name` of `SeveralLaws`, each entry by its own law."""

    def method(self: Any, x: Array) -> Array:
        return self.apply([getattr(law, name) for law in self.laws], x)

    method.__name__, method.__doc__ = name, f"The {name} of each entry, by its own law."
    return method


class ByValue:
    """Equality and hash by the values of all attributes, arrays among them, but for what follows from them."""

    def _values(self) -> tuple[Any, ...]:
        cached = functools.cached_property
        return tuple(v for k, v in vars(self).items() if not isinstance(getattr(type(self), k, None), cached))

    def __eq__(self, other: object) -> bool:
        return self is other or (type(other) is type(self) and plain(self._values()) == plain(other._values()))

    def __hash__(self) -> int:
        return hash(plain(self._values()))


def plain(value: Any) -> Any:
    """A value that compares and has a hash, in place of arrays, containers, networks and functions made from others."""
    if isinstance(value, list | tuple):
        return tuple(map(plain, value))
    if isinstance(value, Mapping):
        return tuple((key, plain(part)) for key, part in value.items())
    if isinstance(value, functools.partial):
        return value.func, plain(value.args), plain(value.keywords)
    if isinstance(value, MethodType):
        return value.__func__, plain(value.__self__)
    if hasattr(value, "state_dict"):
        return type(value), plain(value.state_dict())
    if not is_array_api_obj(value):
        return value if value == value else "nan"
    flat = value.detach().cpu().double().numpy() if is_torch_array(value) else value.astype(float)
    return flat.shape, (flat + 0.0).tobytes()


class SeveralLaws(ByValue):
    """Laws of different entries of the points, which act as one law.

    A subclass has ``laws``, and ``apply(functions, x)``, which calls ``functions[i]`` on the entries of x
    that law i has, and ``spread(values)``, which puts ``values[i]`` there.

    ``pdf`` gives the densities of the coordinates; that of a point of a `Product` is their product.
    """

    laws: Sequence[Any]
    apply: Callable[[Sequence[Callable[[Array], Array]], Array], Array]
    spread: Callable[[Sequence[Any]], np.ndarray]

    @property
    def mean(self) -> np.ndarray:
        return self.spread([law.mean for law in self.laws])

    @property
    def var(self) -> np.ndarray:
        return self.spread([law.var for law in self.laws])

    @property
    def support(self) -> tuple[np.ndarray, np.ndarray]:
        low, high = zip(*(law.support for law in self.laws), strict=True)
        return self.spread(low), self.spread(high)

    pdf, cdf, sf, icdf, isf = map(_entry_by_entry, ("pdf", "cdf", "sf", "icdf", "isf"))


class MapOfSeveral(MonotoneMap):
    """One map for each of `SeveralLaws`, onto one target or each onto its own."""

    @functools.cached_property
    def maps(self) -> list[Any]:
        laws = self.source.laws
        goals = getattr(self.target, "laws", [self.target] * len(laws))
        pairs = zip(laws, goals, strict=True)
        return list(progress((monotone_map(*pair) for pair in pairs), "monotone maps", len(laws)))

    def __call__(self, x: Array) -> Array:
        return self.source.apply(self.maps, x)

    def for_points(self, count: int) -> "MapOfSeveral":
        """Its maps for their shares of so many numbers."""
        best = copy.copy(self)
        best.maps = [T.for_points(count // len(self.maps)) for T in self.maps]
        return best

    def derivative(self, x: Array) -> Array:
        """T'(x) of each entry's own map."""
        return self.source.apply([T.derivative for T in self.maps], x)

    def cost(self, p: float = 1) -> np.ndarray:
        """E|T(Y) - Y|^p of each entry's own map."""
        return self.source.spread([T.cost(p) for T in self.maps])


def draw_by_quantiles(law: Any, shape: int | Sequence[int], rng: Seed = None, like: Array = None) -> Array:
    """Independent draws, by the quantile function; see `Uniform.sample`."""
    draws = law.icdf(draw("uniform", shape, rng, like))
    if like is not None:  # heavy tails leave the range of its dtype, and an infinite point is no point
        largest = float(array_namespace(like).finfo(like.dtype).max)
        draws = draws.clip(-largest, largest)
    return cast_like(draws, like)


@dataclass(frozen=True, eq=False)
class LawPerEntry(SeveralLaws):
    """Several laws, one for each entry of `index`, which broadcasts against the points."""

    laws: tuple[Any, ...]
    index: np.ndarray

    sample = draw_by_quantiles

    def __repr__(self) -> str:
        return f"LawPerEntry({len(self.laws)} laws, index of shape {self.index.shape})"

    def spread(self, values: Sequence[Any]) -> np.ndarray:
        """`values`, one for each law, with the shape of the index."""
        return np.array(values)[self.index]

    def map_to(self, target: Any) -> MonotoneMap:
        """The monotone maps onto `target`: for `monotone_map`, which asks for them."""
        return MapPerEntry(self, target)

    def apply(self, functions: Sequence[Callable[[Array], Array]], x: Array) -> Array:
        """``functions[i]`` on the points of `x` where the index, broadcast against it, is i.

        They are called with flat arrays of points.
        """
        x = as_floating(x)
        xp = array_namespace(x)
        shape = np.broadcast_shapes(x.shape, self.index.shape)
        x = xp.broadcast_to(x, shape)
        # what the index does not tell apart stays together: rows of x
        index = self.index.reshape((1,) * (len(shape) - self.index.ndim) + self.index.shape)
        apart = 1 + max((i for i, n in enumerate(index.shape) if n > 1), default=-1)
        index = np.broadcast_to(index[(..., *[0] * (len(shape) - apart))], shape[:apart]).ravel()
        rows = xp.reshape(x, (len(index), -1))
        groups = np.split(np.argsort(index, kind="stable"), np.cumsum(np.bincount(index))[:-1])
        pairs = [(f, group) for f, group in zip(functions, groups, strict=False) if len(group)]
        return xp.reshape(_by_rows(pairs, rows), shape)


def _by_rows(pairs: list[tuple[Callable[[Array], Array], np.ndarray]], rows: Array) -> Array:
    """Of each function and the numbers of some rows: the function on these rows."""
    xp = array_namespace(rows)

    def values(function: Callable[[Array], Array], group: np.ndarray) -> Array:
        points = rows[xp.asarray(group, device=device(rows))]
        return xp.reshape(function(xp.reshape(points, (-1,))), points.shape)

    if is_torch_array(rows):  # in one expression, for gradients
        back = np.argsort(np.concatenate([group for _, group in pairs]))
        return xp.concat([values(*pair) for pair in pairs])[xp.asarray(back, device=device(rows))]
    result = np.empty(rows.shape, dtype=rows.dtype)

    def fill(function: Callable[[Array], Array], group: np.ndarray) -> None:
        result[group] = values(function, group)

    few = max(1, limits.points // rows.shape[1])
    side_by_side(fill, ((f, g[i : i + few]) for f, g in pairs for i in range(0, len(g), few)))
    return result


class MapPerEntry(MapOfSeveral):
    """One map for each law of a `LawPerEntry`."""

    def __call__(self, x: Array) -> Array:
        x = as_floating(x)
        if wants_gradient(x):
            return super().__call__(x)
        index, laws = self.source.index, self.source.laws
        points = np.bincount(
            np.broadcast_to(index, np.broadcast_shapes(x.shape, index.shape)).ravel(), minlength=len(laws)
        )
        return self.source.apply([map_of_points(law, self.target, n) for law, n in zip(laws, points, strict=True)], x)


def per_distinct_column(
    combine: Callable[[np.ndarray], Any], weights: Array, kind: type[LawPerEntry] = LawPerEntry
) -> LawPerEntry:
    """``combine(column)`` for each distinct weight vector of `weights` (k, ...)."""
    columns, index = distinct_columns(weights)
    return kind(tuple(combine(column) for column in progress(columns, "laws of weighted sums")), index)


def distinct_columns(weights: Array) -> tuple[np.ndarray, np.ndarray]:
    """The distinct weight vectors of `weights` (k, ...), as rows, and which of them each entry has, (...)."""
    if is_torch_array(weights):
        weights = weights.cpu().double().numpy()
    distinct, index = np.unique(weights.reshape(len(weights), -1), axis=1, return_inverse=True)
    return distinct.T, index.reshape(weights.shape[1:])


def check_weights(weights: Array) -> Array:
    """`weights` as a finite array (k, ...) in which no weight vector is all zero."""
    weights = parameter(weights, "weights")
    if isinstance(weights, float) or weights.ndim == 0 or weights.shape[0] == 0:
        raise ValueError("weights must have one entry per point to combine, along the first axis")
    xp = array_namespace(weights)
    if not bool(xp.all(xp.any(weights != 0, axis=0))):
        raise ValueError("weights must not all be zero: such a sum has no law to match")
    return weights


def size_of_sum(weights: Array, correlation: Any = None) -> Any:
    """The standard deviation of w_1 X_1 + ... + w_k X_k, in units of that of each X_i.

    Parameters
    ----------
    weights : array (k,) or (k, ...)
    correlation : float or array (k, k), optional
        Of every two of the X_i, or of each two; none where they are independent.
    """
    if correlation is None:
        return sum(w * w for w in weights) ** 0.5
    k = len(weights)
    matrix = np.asarray(parameter(correlation, "correlation"), dtype=float)
    if matrix.ndim == 0:
        matrix = matrix + (1 - matrix) * np.eye(k)
    if matrix.shape != (k, k) or not (np.allclose(matrix, matrix.T) and np.allclose(np.diag(matrix), 1)):
        raise ValueError(f"correlation must be a number or a symmetric matrix ({k}, {k}) with ones in its diagonal")
    if np.linalg.eigvalsh(matrix)[0] < -1e-9:
        raise ValueError(f"correlation must have no negative eigenvalue, got {correlation}: {k} points cannot vary so")
    square = sum(float(matrix[i, j]) * weights[i] * weights[j] for i in range(k) for j in range(k))
    if not bool((square > 1e-12 * sum(w * w for w in weights)).all()):
        raise ValueError("correlation and weights leave nothing of the points: such a sum has no law to match")
    return square**0.5


def laws_of(laws: Any, k: int) -> list[Any]:
    """`laws` as a list of k laws."""
    if not isinstance(laws, Sequence) or isinstance(laws, str) or len(laws) != k:
        raise TypeError(f"laws must be a list of {k} laws, one for each weight, got {laws!r}")
    return list(laws)


def shape_of_points(shape: int | Sequence[int], d: int) -> tuple[int, ...]:
    """`shape`, ending in d: that of draws from a law of whole points."""
    shape = as_shape(shape)
    if shape[-1:] != (d,):
        raise ValueError(f"shape must end in d = {d}, got {shape}")
    return shape


def weights_of_points(weights: Array, prior: Any) -> Array:
    """Batched `weights` (k, ..., 1) without their last axis, for a law of whole points."""
    if weights.shape[-1] != 1:
        raise ValueError(
            "weights must be the same for all coordinates of a point, with a last axis of "
            f"length 1, where the prior is {prior!r}; got shape {tuple(weights.shape)}"
        )
    return weights[..., 0]


def require_coordinates(points: Array, d: int) -> None:
    """Raise ValueError unless the last axis of the points has length d."""
    if points.shape[-1:] != (d,):
        raise ValueError(f"points must have {d} coordinates along the last axis, got shape {tuple(points.shape)}")


def require_no_gradient(weights: Array, what: str) -> None:
    """Raise TypeError if the weights ask for a gradient that the law cannot give."""
    if getattr(weights, "requires_grad", False):
        raise TypeError(
            f"weights must not require a gradient here: {what} from their values. Detach them; "
            "gradients still flow to the points."
        )
