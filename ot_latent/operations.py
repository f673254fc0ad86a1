"""Operations on latent points, raw and matched to the prior (Agustsson et al. 2019, Table 1).

Each operation takes `prior=`. Without it the result is the plain linear combination, which leaves
the prior: a mean of two independent points lies too close to the centre. With it the result is
*matched*: moved, coordinate by coordinate, by the monotone map of Theorem 2, so that it follows the
prior exactly and changes as little as possible.

The points that go in must be independent of each other and follow the prior; numpy arrays or torch
tensors, any leading shape, the latent dimension last. Where two plainly depend on each other, as in
`interpolate(z, z, 0.5, prior)`, a matched operation gives a `DependentPointsWarning` (`independence`).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj

from ot_latent._arrays import (
    Array,
    Seed,
    as_floating,
    at_least_single,
    conform,
    count,
    euclidean_norm,
    generator,
    in_pieces,
    parameter,
)
from ot_latent.independence import warn_of_dependence, warn_of_norms
from ot_latent.monotone import ScaledMap
from ot_latent.priors.laws import AnyPrior, Prior, laws_of
from ot_latent.priors.product import as_prior, map_back


def combine(
    zs: Sequence[Array] | Array,
    weights: Array,
    prior: AnyPrior | None = None,
    laws: Sequence[Prior] | None = None,
    correlation: Array = None,
) -> Array:
    """y = w_1 z_1 + ... + w_k z_k, raw or matched to `prior`.

    Parameters
    ----------
    zs : array (k, ..., d), or a sequence of k arrays
        Independent points of the prior; of others a matched result comes with a `DependentPointsWarning`.
    weights : array (k,) or (k, ...)
        Any finite real numbers; the largest not beyond 1e30 or, for a matched result, below 1e-30.
        ``weights[i]`` broadcasts against ``zs[i]``: shape (k, 9, 1, 1) makes a path of nine steps of
        each pair in ``zs[i]`` of shape (n, d). Shape (k, n) is refused: (k, n, 1) weights points, (k, 1, d)
        coordinates.
    prior : Uniform, Gaussian or ScipyPrior, or a sequence of d of them, optional
        The law of every coordinate, or of each. With it, the result follows it too. Also a frozen law of
        scipy.stats, or one of a dozen kinds of torch.distributions.
    laws : sequence of k laws, optional
        Of the k points, where they do not follow `prior` themselves.
    correlation : float or array (k, k), optional
        Of every two points, or of each two, in each coordinate, where they are not independent: for a
        `Gaussian` or `MultivariateGaussian` prior, under which they are jointly normal.

    Returns
    -------
    array (..., d)
        Of the kind, device and dtype of `zs`; half precisions are computed in float32. Matched, it lies in
        the prior's support as that dtype rounds it, and is bit for bit z_i where w_i = 1 and the others 0.

    Raises
    ------
    ValueError
        If the number of weights is not k, a shape does not broadcast, a weight is not finite, or,
        for a matched result, all weights are zero.
    TypeError
        If the points are not floating arrays of one kind and dtype, or `prior` is no law.

    References
    ----------
    Agustsson et al. (2019), Strategy 1 and eq. (6).

    Examples
    --------
    >>> from ot_latent import Gaussian
    >>> float(combine([[3.0], [5.0]], [0.5, 0.5])[0])
    4.0
    >>> float(combine([[3.0], [5.0]], [0.5, 0.5], prior=Gaussian(0, 1))[0].round(4))
    5.6569
    """
    if not isinstance(zs, Sequence) and not is_array_api_obj(zs):
        raise TypeError(f"zs must be an array (k, ..., d) or a list of k arrays, got {zs!r}")
    zs = _points("zs", *zs)
    laws = None if laws is None else laws_of(laws, len(zs))
    weights = parameter(weights, "weights")
    got = tuple(np.shape(weights))
    if got[:1] != (len(zs),):
        what = "weights must have one entry per point along the first axis"
        raise ValueError(f"{what}: got shape {got} for {len(zs)} points")
    return _weighted_sum(zs, weights, prior, laws, correlation)


def interpolate(z1: Array, z2: Array, t: Array, prior: AnyPrior | None = None, correlation: Array = None) -> Array:
    """y_t = t z1 + (1 - t) z2 (eq. (2)), raw or matched; t = 1 gives z1.

    Parameters
    ----------
    z1, z2 : array (..., d)
    t : float or array
        Broadcasts against z1: shape (9, 1, 1) for a path of nine steps from z2 to z1, (n, 1) for one t a
        point, (1, d) for one a coordinate.
    prior, correlation : optional
        See `combine`.

    Returns
    -------
    array (..., d)
        See `combine`.
    """
    z1, z2 = _points("z1, z2", z1, z2)
    t = parameter(t, "t")
    return _weighted_sum([z1, z2], _stack(t, 1 - t), prior, correlation=correlation, name="t")


def vicinity(
    z: Array,
    eps: Array,
    noise: Array = None,
    prior: AnyPrior | None = None,
    rng: Seed = None,
    noise_law: Prior | None = None,
) -> Array:
    """y = z + eps u (vicinity sampling), raw or matched.

    Parameters
    ----------
    z : array (..., d)
    eps : float or array
        Broadcasts against z.
    noise : array (..., d), optional
        The u, independent of z; broadcasts against z, so that shape (n, d) gives n neighbours of
        one point (d,). Drawn from its law in the shape of z where it is not given.
    prior : optional
        Of z, see `combine`. Needed unless `noise` is given and the result is to stay raw.
    rng : None, int, numpy.random.Generator or torch.Generator
        For the noise; see `Uniform.sample`. The same int gives other noise than it gives points.
    noise_law : law, optional
        Of the noise, where it is not `prior`.

    Returns
    -------
    array (..., d)
        See `combine`.
    """
    (z,) = _points("z", z)
    noise_law = None if noise_law is None else as_prior(noise_law, "noise_law")
    if noise is None:
        noise = _draw(prior if noise_law is None else noise_law, z.shape, rng, z, "vicinity")
    z, noise = _points("z, noise", z, noise)
    eps = parameter(eps, "eps")
    laws = None if noise_law is None else [prior, noise_law]
    return _weighted_sum([z, noise], _stack(0 * eps + 1.0, eps), prior, laws, name="eps")


def analogy(z1: Array, z2: Array, z3: Array, prior: AnyPrior | None = None) -> Array:
    """y = z3 + (z2 - z1), "z1 is to z2 as z3 is to y", raw or matched.

    Parameters
    ----------
    z1, z2, z3 : array (..., d)
    prior : optional
        See `combine`.

    Returns
    -------
    array (..., d)
        See `combine`.
    """
    points = _points("z1, z2, z3", z1, z2, z3)
    return _weighted_sum(points, np.array([-1.0, 1.0, 1.0]), prior)


def random_walk(
    z: Array, steps: int, eps: Array, noise: Array = None, prior: AnyPrior | None = None, rng: Seed = None
) -> Array:
    """Vicinity sampling again and again; matched, every step follows the prior.

    Parameters
    ----------
    z : array (..., d)
        Where the walk starts.
    steps : int >= 0
    eps : float or array
        The size of a step; broadcasts against z.
    noise : array (steps, ..., d), optional
        The steps' directions; drawn from `prior` where it is not given.
    prior, rng
        See `vicinity`.

    Returns
    -------
    array (steps + 1, ..., d)
        The walk, its start first.
    """
    (z,) = _points("z", z)
    count(steps, "steps", 0)
    if noise is None:
        noise = _draw(prior, (steps, *z.shape), rng, z, "random walk")
    elif not (isinstance(noise, Sequence) or is_array_api_obj(noise)) or len(noise) != steps:
        raise ValueError(f"noise must hold one entry per step, {steps}, got {np.shape(noise)[:1] or noise!r}")
    walk = [z]
    for u in noise:
        walk.append(vicinity(walk[-1], eps, noise=u, prior=prior))
    return array_namespace(z).stack(walk)


def slerp(z1: Array, z2: Array, t: Array, axes: int = 1) -> Array:
    """Spherical interpolation (White 2016); t = 1 gives z1, as in `interpolate`.

        y_t = sin(tω)/sin(ω) z1 + sin((1 - t)ω)/sin(ω) z2,    ω the angle between z1 and z2.

    The angle is that of each sample, along the last axis or axes. Where it does not define a great circle,
    for parallel, opposite or zero points, the straight line is taken instead: the limit for
    parallel points, and for opposite ones a path through the origin that prefers no direction.
    Nearly opposite points of different lengths make a long detour: the formula has a pole there.

    Parameters
    ----------
    z1, z2 : array (..., d)
    t : float or array
        Broadcasts against z1: shape (9, 1, 1) for a path of nine steps.
    axes : int
        How many axes at the end make a point: 3 for latents (..., channels, height, width).

    Returns
    -------
    array (..., d)
        Of the kind, device and dtype of z1. It does not follow the prior: see `interpolate`.

    References
    ----------
    White (2016), Sampling generative networks, arXiv:1609.04468.
    """
    z1, z2 = _points("z1, z2", z1, z2)
    dtype = z1.dtype
    z1, z2 = at_least_single(z1), at_least_single(z2)
    t = parameter(t, "t")
    _require_clear(np.shape(t), [z1, z2], "t")
    last = tuple(range(-count(axes, "axes", 1, min(z1.ndim, z2.ndim)), 0))
    (t,) = conform(z1, t)
    xp = array_namespace(z1)
    # to full precision at every size (Kahan)
    norms = [euclidean_norm(z, last) for z in (z1, z2)]
    u, v = (z / xp.where(norm > 0, norm, 1.0) for z, norm in zip((z1, z2), norms, strict=True))
    omega = 2 * xp.atan2(euclidean_norm(u - v, last), euclidean_norm(u + v, last))  # (..., 1)
    somewhere = xp.any(z1 != 0, axis=last, keepdims=True) & xp.any(z2 != 0, axis=last, keepdims=True)
    circle = somewhere & (xp.sin(omega) > 8 * xp.finfo(dtype).eps)
    omega = xp.where(circle, omega, 1.0)
    w1 = xp.where(circle, xp.sin(t * omega) / xp.sin(omega), t + 0 * omega)
    w2 = xp.where(circle, xp.sin((1 - t) * omega) / xp.sin(omega), 1 - t + 0 * omega)
    return xp.astype(w1 * z1 + w2 * z2, dtype, copy=False)


def _weighted_sum(
    zs: Sequence[Array], weights: Array, prior: Any, laws: Any = None, correlation: Any = None, name: str = "weights"
) -> Array:
    """Σ w_i z_i, matched where there is a prior; `name` is that of the user's argument for the weights."""
    _require_clear(tuple(weights.shape[1:]), zs, name)
    if prior is None and (correlation is not None or (laws is not None and name == "weights")):
        raise ValueError("laws and correlation must come with a prior: plain sums have no use for them")
    whole, dtype = None if prior is None else as_prior(prior), zs[0].dtype
    if whole is not None:
        laws = None if laws is None else [as_prior(law, "laws") for law in laws]
        warn_of_norms(zs, each := laws or [whole] * len(zs))
        if correlation is None:
            warn_of_dependence(zs, each)

    def back(weights: Array, count: int) -> Any:
        return None if whole is None else map_back(weights, whole, count, laws, correlation)

    if weights.ndim == 1 and not getattr(whole, "mapped_at_once", False):
        T = back(weights, math.prod(np.broadcast_shapes(*(z.shape for z in zs))))
        return in_pieces(lambda *points: _matched_sum(points, weights, T), zs, dtype)
    piecewise = whole is None or (laws is None and len(zs) <= getattr(whole, "elementwise_weights", 0))

    def total(*parts: Array) -> Array:
        points, own = parts[: len(zs)], _stack(*parts[len(zs) :])
        return _matched_sum(points, own, back(own, 0) if piecewise else None)

    if piecewise:
        return in_pieces(total, [*zs, *weights], dtype)
    # one law for each distinct weight vector, or points that are looked at together: mapped as a whole
    y = in_pieces(total, [*zs, *weights], at_least_single(zs[0][:0]).dtype)
    return array_namespace(y).astype(back(weights, math.prod(y.shape))(y), dtype, copy=False)


def _require_clear(shape: tuple[int, ...], zs: Sequence[Array], name: str) -> None:
    """Raise ValueError where weights of this shape broadcast against the points in no way, or by chance."""
    one = "weights[i]" if name == "weights" else name
    if len(shape) == 1 and shape[0] > 1:
        give = f"{one}[:, None] for points, {one}[None, :] for coordinates, {one}[:, None, None] for a path"
        raise ValueError(f"{one} of shape {shape} may be meant for each point or each coordinate: give {give}")
    try:
        np.broadcast_shapes(shape, *(z.shape for z in zs))
    except ValueError:
        points = [tuple(z.shape) for z in zs]
        raise ValueError(f"{one} must be a number or broadcast against the points, {points}; got {shape}") from None


def _matched_sum(zs: Sequence[Array], weights: Array, T: Any) -> Array:
    """T(Σ w_i z_i), or the plain sum where T is None; half precisions in float32."""
    scaled = isinstance(T, ScaledMap)  # multiplying the weights spares a pass over the points
    y: Any = None
    for z, weight in zip(map(at_least_single, zs), weights, strict=True):
        (weight,) = conform(z, parameter(weight * T.scale if scaled else weight, "weights"))
        y = weight * z if y is None else y + weight * z
    if scaled:
        return T.bend(T.shifted(y))
    return y if T is None else T(y)


def _stack(*weights: Array) -> Array:
    """Numbers or arrays of one shape, stacked along a new first axis."""
    if isinstance(weights[0], float):
        return np.array(weights)
    return array_namespace(*weights).stack(weights)


def _draw(prior: AnyPrior | None, shape: tuple[int, ...], rng: Seed, like: Array, purpose: str) -> Array:
    if prior is None:
        raise ValueError("noise must be given where there is no prior to draw it from")
    return as_prior(prior).sample(shape, generator(rng, like, purpose), like=like)


def _points(names: str, *points: Array) -> list[Array]:
    """`points` as floating arrays of one kind and dtype whose shapes broadcast."""
    points = [as_floating(z, names) for z in points]
    if not points:
        raise ValueError(f"{names} must hold at least one point")
    if len({(array_namespace(z), z.dtype) for z in points}) > 1:
        found = " and ".join(sorted(f"{type(z).__module__}.{z.dtype}" for z in points))
        raise TypeError(f"{names} must be arrays of one kind and dtype, got {found}: convert them")
    if not all(z.ndim for z in points):
        raise ValueError(f"{names} must have the latent dimension as the last axis, got a number")
    shapes = [tuple(z.shape) for z in points]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(f"{names} must have shapes that broadcast, got {shapes}") from None
    return points
