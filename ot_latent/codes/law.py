"""Matched operations on laws without a formula, such as that of an auto-encoder's codes (Agustsson 2019, Strategy 1).

The codes of an auto-encoder have no prior to speak of. But y = w_1 z_1 + ... + w_k z_k of independent codes has
a law that can be sampled, and semi-discrete transport gives the optimal map from it to the codes. In two steps:

    u = m + (y - s m) / ‖w‖,      s = w_1 + ... + w_k,  m the mean of the codes,                        (1)
    T = u + R (S(R'u) - R'u),     S optimal from the law of R'u to that of R'z.                         (2)

(1) gives u mean and covariance of the codes, whatever they are; of Gaussian codes it is the whole map. (2) is
transport in the r directions R along which codes vary most. Each step is the gradient of a convex function, and
so are both together: optimal between the law of y and that of T(y), and with all directions optimal to the codes.
In many dimensions a few thousand codes know too little of their law for that: codes kept aside decide about r.

Where noise of another law is added, as in vicinity sampling, (1) is the optimal map between Gaussians with the
covariances of y and of the codes. Each step is optimal then, but both together only where (1) is a multiple of y.

S is fitted to sums of stored codes, none of which goes to a code that it is made of. Sums of other codes are made of
none, and in many dimensions a sum is so much nearer to its own codes than to all others that, with these allowed, S
would learn little more than which of them is nearest: other sums would then crowd in the cells of a few codes.

S gives stored codes. For new ones it is continued between its cells, or has a slope within each
(`SemiDiscreteOT.extend`): the codes kept aside decide about this, too. They judge by nearest neighbours, which see
clusters and holes in any number of dimensions, and by the energy distance, which sees a spread that is lost.
"""

import math
import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from array_api_compat import array_namespace, device, is_torch_array
from scipy import stats

from ot_latent._arrays import (
    Array,
    Seed,
    as_floating,
    at_least_single,
    cast_like,
    count,
    generator,
    number,
    parameter,
    progress,
)
from ot_latent.codes.correction import FEWEST, CodeSet, Correction, Sums
from ot_latent.codes.two_samples import same_law
from ot_latent.priors.laws import (
    ByValue,
    check_weights,
    distinct_columns,
    laws_of,
    require_coordinates,
    require_no_gradient,
    shape_of_points,
    weights_of_points,
)

_MOST_KNOWN, _CHECKED = 64, 500


class Codes(ByValue):
    """The law of given points, such as the codes of an auto-encoder: a prior for all matched operations.

    A map is fitted once for each weight vector, up to order and a positive factor, and kept (the last 64). It is
    one for codes that are not among these, such as those of held-out images: sums of stored codes in many dimensions
    often come back to one of their ends.

    Parameters
    ----------
    codes : (N, d) array-like
        Independent of each other. Everything is computed on their device.
    weights : (N,) array-like, optional
        Chances of the codes, up to a factor; equal by default.
    directions : int, optional
        r of (2), in which matched points are transported: 0 for (1) alone, d for all. By default codes
        kept aside decide: a quarter of them, up to 3,000, to which no map is fitted.
    stored : bool
        Transport to stored codes instead of new ones: with all directions, matched points are codes.
    tolerance : float
        Of `SemiDiscreteOT`.
    random_state : int
        Seed of the codes kept aside, and of the fits.

    Raises
    ------
    ValueError
        If codes are not finite and of shape (N, d) with N > 1, or all are equal; if weights are not N positive
        numbers.
    TypeError
        If they are not real numbers.

    Examples
    --------
    >>> from ot_latent import interpolate
    >>> z = np.random.default_rng(0).standard_normal((400, 2))
    >>> middle = interpolate(z[:200], z[200:], 0.5, prior=Codes(z, directions=0))
    >>> bool(abs(middle.std() - z.std()) < 0.1)
    True

    References
    ----------
    Agustsson et al. (2019), Strategy 1; Liu et al. (2018), section 3.
    """

    of_whole_points = mapped_at_once = takes_other_laws = True

    def __init__(
        self,
        codes: Array,
        weights: Array = None,
        directions: int | None = None,
        stored: bool = False,
        tolerance: float = 0.1,
        random_state: int = 0,
    ) -> None:
        points = torch.as_tensor(parameter(codes, "codes")).detach()
        if points.ndim != 2 or len(points) < 2 or not points.shape[1]:
            raise ValueError(f"codes must have shape (N, d), N at least 2, got {tuple(points.shape)}")
        if bool((points == points[0]).all()):
            raise ValueError("codes must not all be equal: their law is one point, and every operation gives it")
        self.d = points.shape[1]
        self.directions = directions if directions is None else count(directions, "directions", 0, self.d)
        masses = torch.as_tensor(parameter(np.ones(len(points)) if weights is None else weights, "weights"))
        if masses.shape != points.shape[:1] or not bool((masses > 0).all()):
            raise ValueError(f"weights must be {len(points)} positive numbers, got shape {tuple(masses.shape)}")
        masses = masses.detach().to(points.device, torch.float64)
        undecided = directions is None or not (stored or directions == 0)
        enough = float(masses.sum() / masses.max()) >= FEWEST
        seed = count(random_state, "random_state", 0)
        self._set = CodeSet(
            points, masses, stored, undecided and enough, number(tolerance, "tolerance", positive=True), seed
        )
        self._known: dict[Any, Correction] = {}

    def _values(self) -> tuple[Any, ...]:
        return self._set, self.directions

    def __hash__(self) -> int:  # fast: it is asked for in every operation
        return hash((self._set.codes.shape, self._set.seed, self.directions))

    def __repr__(self) -> str:
        return f"Codes({len(self._set.codes):,} points, d={self.d})"

    def sample(self, shape: int | Sequence[int], rng: Seed = None, like: Array = None) -> Array:
        """Independent draws of the codes, `shape` ending in d; see `Uniform.sample`."""
        shape = shape_of_points(shape, self.d)
        like = None if like is None else as_floating(like, "like")
        rng = generator(rng, like)
        points = self._set.codes[self._set.drawn(math.prod(shape[:-1]), rng)].reshape(shape)
        if is_torch_array(like) or (like is None and isinstance(rng, torch.Generator)):
            return points if like is None else points.to(like)
        return cast_like(points.numpy(force=True), like)

    def combine(self, weights: Array, laws: Sequence[Any] | None = None) -> "SumOfCodes | SumPerPoint":
        """The law of w_1 z_1 + ... + w_k z_k.

        Parameters
        ----------
        weights : array (k,) or (k, ..., 1)
            Any finite real weights, not all zero; one for each point.
        laws : sequence of k laws, optional
            Of the points, where some are noise of a law with finite variances for each coordinate.

        Raises
        ------
        ValueError
            If weights differ along the last axis, that of the coordinates; if those of all codes are zero.
        """
        weights = check_weights(weights)
        require_no_gradient(weights, "a map is fitted")
        laws = None if laws is None else laws_of(laws, len(weights))
        columns, index = distinct_columns(weights if weights.ndim == 1 else weights_of_points(weights, self))
        laws = [SumOfCodes(self, column, laws) for column in columns]
        return laws[0] if weights.ndim == 1 else SumPerPoint(laws, index)

    def map_to(self, target: "Codes") -> "CodesMap":
        """The identity: for `monotone_map`, which asks for it."""
        return SumOfCodes(self, np.ones(1)).map_to(target)

    @cached_property
    def mean(self) -> np.ndarray:
        """Of the coordinates: (d,)."""
        return self._set.mean.numpy(force=True)

    @cached_property
    def medians(self) -> np.ndarray:
        """Of the coordinates: (d,)."""
        codes, weights = (x.numpy(force=True) for x in (self._set.codes, self._set.masses))
        return np.quantile(codes, 0.5, axis=0, weights=weights, method="inverted_cdf")

    def departure(self, values: np.ndarray) -> tuple[float, float, np.ndarray]:
        """What `check_prior` asks: p-values of two-sample tests of points and of their distances to the mean.

        With them come these, squared, over the mean square of the codes: (n, d) -> (n, 1).
        """
        codes = self._set.equally_likely().double().cpu()
        n = min(_CHECKED, len(values), len(codes))
        rng = np.random.default_rng((self._set.seed, *b"check"))
        some = [torch.from_numpy(rng.permutation(len(points))[:n]) for points in (values, codes)]
        p = same_law(torch.from_numpy(values)[some[0]], codes[some[1]])
        squares, usual = (((x - self.mean) ** 2).sum(1) for x in (values, codes.numpy()))
        return p, float(stats.ks_2samp(squares, usual).pvalue), squares[:, None] / usual.mean()

    def correction(self, weights: np.ndarray, noise: tuple[tuple[float, Any], ...]) -> Correction:
        """Step (2) for weights of norm 1; its fit starts from the most similar ones that are known."""
        key = tuple(sorted(weights)), noise
        if key not in self._known:
            alike = [known for known in list(self._known) if len(known[0]) == len(key[0])]
            start = self._known[min(alike, key=lambda known: math.dist(known[0], key[0]))] if alike else None
            r = 0 if key == ((1.0,), ()) else self._directions()
            fitted = Correction(Sums(self._set, weights, noise), r, self._set.parts[0], start)
            if r and self.directions is None and not (fitted.trials and fitted.trial.convincing):
                fitted.directions = 0
            if len(self._known) == _MOST_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[key] = fitted
        return self._known[key]

    def _directions(self) -> int:
        if self.directions is not None:
            return self.directions
        if self._set.aside:
            return self._set.supported_directions
        warnings.warn(
            f"{len(self._set.codes)} codes are too few to keep some aside, which is done from {FEWEST} (of one weight) "
            "on: matched points get their mean and covariance, no more. Give more codes, or set directions",
            stacklevel=2,
        )
        return 0


class SumOfCodes(ByValue):
    """The law of w_1 z_1 + ... + w_k z_k for independent codes z_i, or noise.

    Parameters
    ----------
    codes : Codes
    weights : (k,)
    laws : sequence of k laws, optional
        `codes`, or those of noise.
    """

    def __init__(self, codes: Codes, weights: np.ndarray, laws: Sequence[Any] | None = None) -> None:
        used = [(float(w), codes if laws is None else laws[i]) for i, w in enumerate(weights) if w]
        self.codes, self.noise = codes, tuple(pair for pair in used if pair[1] is not codes)
        self.weights = np.array([w for w, law in used if law is codes])
        if not len(self.weights):
            raise ValueError("weights must not be zero for all codes: noise alone has no map back to them")
        for _, law in self.noise:
            if getattr(law, "of_whole_points", False) or not np.isfinite(np.broadcast_to(law.var, codes.d)).all():
                raise TypeError(f"noise must have a law of finite variance for each coordinate, got {law!r}")

    def __repr__(self) -> str:
        noise = f", noise={list(self.noise)}" if self.noise else ""
        return f"SumOfCodes({self.codes!r}, weights={self.weights.tolist()}{noise})"

    def sample(self, shape: int | Sequence[int], rng: Seed = None, like: Array = None) -> Array:
        """Independent draws, `shape` ending in d; see `Uniform.sample`."""
        rng = generator(rng, like)
        parts = [(float(w), self.codes) for w in self.weights] + list(self.noise)
        return sum(w * law.sample(shape, rng, like) for w, law in parts)

    def map_to(self, target: Codes) -> "CodesMap":
        """The map onto the codes: for `monotone_map`, which asks for it."""
        if target is not self.codes:
            raise TypeError(f"target must be the law of the codes that were summed, {self.codes!r}, got {target!r}")
        return CodesMap(self)


class CodesMap(ByValue):
    """T of (1) and (2), from the law of a weighted sum of codes to that of the codes.

    Attributes
    ----------
    source, target : laws
    correction : Correction
        Step (2), with the evidence for it: ``trials`` on codes kept aside, and the certificate of
        ``transport``.
    """

    def __init__(self, source: SumOfCodes) -> None:
        self.source, self.target = source, source.codes
        self.norm = float(np.linalg.norm(source.weights))
        noise = tuple((e / self.norm, law) for e, law in source.noise)
        self.correction = source.codes.correction(source.weights / self.norm, noise)

    def __repr__(self) -> str:
        return f"CodesMap({self.source!r}: {self.correction})"

    def __call__(self, y: Array) -> Array:
        """Matched points: (..., d) -> (..., d)."""
        y = as_floating(y, "y")
        require_coordinates(y, self.target.d)
        sums = self.correction.sums
        rows = torch.as_tensor(at_least_single(y)).reshape(-1, self.target.d).to(sums.codes.codes.device)
        moved = self.correction(sums.given_moments(rows / self.norm)).reshape(y.shape)
        return moved.to(y) if is_torch_array(y) else moved.numpy(force=True).astype(y.dtype, copy=False)


class SumPerPoint(ByValue):
    """Laws of sums, one for each point: (..., d) has an index that broadcasts against (...)."""

    def __init__(self, laws: Sequence[SumOfCodes], index: np.ndarray) -> None:
        self.laws, self.index = laws, index

    def map_to(self, target: Codes) -> "MapPerPoint":
        """The maps onto the codes: for `monotone_map`, which asks for them."""
        return MapPerPoint(self, target)


class MapPerPoint(ByValue):
    """One map for each law of a `SumPerPoint`."""

    def __init__(self, source: SumPerPoint, target: Codes) -> None:
        self.source, self.target = source, target
        self.maps = [law.map_to(target) for law in progress(source.laws, "maps of weighted sums")]

    def __call__(self, y: Array) -> Array:
        """Matched points: (..., d) -> (..., d)."""
        xp = array_namespace(y)
        index = xp.asarray(np.broadcast_to(self.source.index, y.shape[:-1]).copy(), device=device(y))
        result = xp.empty_like(y)
        for i, T in enumerate(self.maps):
            result[index == i] = T(y[index == i])
        return result
