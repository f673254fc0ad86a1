"""What mean and covariance leave of the map back to the codes, as far as codes kept aside support it."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ot_latent._arrays import draw, generator, progress
from ot_latent.codes.two_samples import Distance, Trial, as_good, gained, same_law, separations
from ot_latent.kantorovich import solve_kantorovich
from ot_latent.laguerre import interval_heights
from ot_latent.priors.laws import ByValue
from ot_latent.priors.multivariate import gaussian_map
from ot_latent.semidiscrete import SemiDiscreteOT

FEWEST = 500  # codes of which some are kept aside
_ASIDE = 1_500  # codes in each of the two sets, at most
_PILOT = 2_000  # codes that tell in how many directions transport helps
_SIZES = (8, 16, 32, 64, 128, 256, 512, 1024)
_SHAPES = (0.7, (0.0, 0.25, 0.5, 0.75)), (0.0, (0.25, 0.5, 0.75))  # angles and slopes; 0 and 0 are stored codes
_FEW, _DRAWS, _ROUGH = 3, 500, 2_000  # dimensions, draws for each code on a line, and codes in these, for `_start`
_DISPENSABLE = 10  # times the codes of a sum: as many have to be there for it to do without its own
_TESTED, _FALSE_ALARMS = 256, 1e-6


class PointsOffLawWarning(UserWarning):
    """Points of a matched operation are no sums of independent codes: the result does not follow the codes' law."""


@dataclass(frozen=True, eq=False)
class CodeSet(ByValue):
    """Codes with all that maps of different weights share: (N, d).

    Attributes
    ----------
    masses : (N,)
        Of the codes; equal ones are all 1.
    stored : bool
        Transport to stored codes, not to new ones.
    aside : bool
        Keep codes aside.
    tolerance, seed
        Of `SemiDiscreteOT`.
    """

    codes: torch.Tensor
    masses: torch.Tensor
    stored: bool
    aside: bool
    tolerance: float
    seed: int

    @cached_property
    def mean(self) -> torch.Tensor:
        return self.masses.to(self.codes.dtype) @ self.codes / self.masses.sum()

    @cached_property
    def covariance(self) -> torch.Tensor:
        """In double precision: (d, d)"""
        centered = (self.codes - self.mean).double()
        return (centered.T * self.masses) @ centered / self.masses.sum()

    @cached_property
    def axes(self) -> torch.Tensor:
        """Directions in which codes vary, the most first, as columns: (d, d)."""
        return torch.linalg.eigh(self.covariance).eigenvectors.flip(1).to(self.codes.dtype)

    @cached_property
    def parts(self) -> tuple[Any, ...]:
        """Codes that maps are fitted to, a `CodeSet`, and two halves of those kept aside, if any are."""
        n = len(self.codes)
        aside = min(_ASIDE, n // 8) if self.aside else 0
        order = torch.from_numpy(np.random.default_rng((self.seed, *b"aside")).permutation(n))
        fitted, *halves = order.to(self.codes.device).split([n - 2 * aside, aside, aside])
        return self.some(fitted), *(self.some(half).equally_likely() for half in halves if len(half))

    def some(self, index: Any) -> "CodeSet":
        return replace(self, codes=self.codes[index], masses=self.masses[index])

    def equally_likely(self) -> torch.Tensor:
        """Some of the codes, that follow their law without masses: each is kept with a chance like its mass."""
        rng = np.random.default_rng((self.seed, *b"thinned"))
        kept = rng.random(len(self.masses)) * float(self.masses.max()) < self.masses.numpy(force=True)
        return self.codes[torch.from_numpy(kept).to(self.codes.device)]

    def drawn(self, n: int, rng: Any) -> torch.Tensor:
        """Which codes are drawn, with chances in proportion to their masses: (n,)"""
        chance = torch.as_tensor(draw("uniform", n, rng, torch.empty(0, dtype=torch.float64)))
        ends = self._ends
        index = torch.searchsorted(ends, chance.to(ends.device) * ends[-1], right=True)
        return index.clamp(max=len(ends) - 1)

    @cached_property
    def _ends(self) -> torch.Tensor:
        return self.masses.cumsum(0)

    @cached_property
    def supported_directions(self) -> int:
        """In how many directions a pilot brings midpoints nearest to codes kept aside: the most of those as good.

        In all, where these are few, or none of the pilot's is convincing: the fit itself then tells whether it helps.
        """
        d = self.codes.shape[1]
        sizes = [r for r in _SIZES if 2 * r <= d]
        if not sizes:
            return d
        trials: list[Trial] = []
        midpoints, pilot = Sums(self, np.full(2, 0.5**0.5)), self.parts[0].some(slice(_PILOT))
        for r in progress([*sizes, d], "directions of transport"):
            trials.append(Correction(midpoints, r, pilot).trial)
            if not trials[-1].harmless:
                break
        return max((trial.directions for trial in as_good(trials) if trial.convincing), default=d)


@dataclass(frozen=True, eq=False)
class Sums(ByValue):
    """u of w_1 z_1 + ... + w_k z_k + e_1 n_1 + ... for independent codes z and noise n.

    Attributes
    ----------
    weights : (k,)
        Of norm 1.
    noise : pairs (e, law)
    """

    codes: CodeSet
    weights: np.ndarray
    noise: tuple[tuple[float, Any], ...] = ()

    @cached_property
    def _linear(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """What noise adds to the mean, and the optimal map between Gaussians with the covariances; none without."""
        if not self.noise:
            return None
        zeros, like = np.zeros(len(self.codes.mean)), self.codes.codes
        shift = zeros + sum(e * law.mean for e, law in self.noise)
        added = zeros + sum(e**2 * law.var for e, law in self.noise)
        covariance = self.codes.covariance.numpy(force=True)
        matrix = gaussian_map(covariance + np.diag(added), covariance)
        return torch.from_numpy(shift).to(like), torch.from_numpy(matrix).to(like)

    def given_moments(self, y: torch.Tensor) -> torch.Tensor:
        """u of sums: mean and covariance of the codes, (n, d) -> (n, d)."""
        mean = self.codes.mean.to(y.dtype)
        u = y + (1 - float(self.weights.sum())) * mean
        if self._linear is None:
            return u
        shift, linear = (part.to(y.dtype) for part in self._linear)
        return mean + (u - shift - mean) @ linear

    def of(self, zs: Sequence[torch.Tensor], rng: Any) -> torch.Tensor:
        """u of sums of these codes, with fresh noise."""
        y: Any = sum(float(w) * z for w, z in zip(self.weights, zs, strict=True))
        return self.given_moments(y + sum(e * law.sample(y.shape, rng, like=y) for e, law in self.noise))

    @cached_property
    def of_halves(self) -> tuple[list[torch.Tensor], np.ndarray, list[tuple[Distance, ...]]] | None:
        """Sums of each half of the codes kept aside, which codes are in them, their distances; or too few codes."""
        k, rng = len(self.weights), np.random.default_rng((self.codes.seed, *b"sums"))
        _, *halves = self.codes.parts
        rounds, m = 2 * k, min(map(len, halves)) // k
        if m < 2:
            return None
        # in a round each code is in one sum: sums that share a code are nearer to each other than their law is wide
        index = np.stack([rng.permutation(k * m).reshape(k, m) for _ in range(rounds)], axis=1)
        parts = torch.from_numpy(index.reshape(k, -1)).to(halves[0].device)
        sums = [self.of([half[part] for part in parts], rng) for half in halves]
        return sums, index, self.distances(sums, index)

    def distances(self, clouds: Sequence[torch.Tensor], index: np.ndarray) -> list[tuple[Distance, ...]]:
        """Of sums of each half, mapped or not, from the other half: by nearest neighbours, and energy distances."""
        k, rounds, m = index.shape
        _, *halves = self.codes.parts
        each = zip(clouds, halves[::-1], strict=True)
        pairs = [separations(cloud.reshape(rounds, m, -1), half[: k * m]) for cloud, half in each]
        return list(zip(*pairs, strict=True))

    def drawn(self, codes: CodeSet, n: int, rng: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """u of sums of some of the codes, and which they are: (n, d), (n, k)"""
        index = torch.stack([codes.drawn(n, rng) for _ in self.weights])
        return self.of(list(codes.codes[index]), rng), index.T


class Correction(ByValue):
    """Transport of u, sums of codes that have their mean and covariance, in the leading directions.

    Parameters
    ----------
    sums : Sums
    r : int
        How many directions; 0 leaves u as it is.
    points : CodeSet
        The codes that it is fitted to.
    start : Correction, optional
        Of similar weights.

    Attributes
    ----------
    directions : int
        r, or 0 where u is to be left as it is.
    angle, slope : float
        Of `SemiDiscreteOT.extend`.
    trials : list of Trial
        One for each angle and slope; none where fewer codes were kept aside in each half than two sums need.
    transport : SemiDiscreteOT or None
        With the certificate of its masses.
    """

    def __init__(self, sums: Sums, r: int, points: CodeSet, start: "Correction | None" = None) -> None:
        self.sums, self.points, codes = sums, points, sums.codes
        self.directions, (self.angle, (self.slope, *_)) = r, _SHAPES[0]
        self.trials: list[Trial] = []
        self.transport = SemiDiscreteOT(tolerance=codes.tolerance, random_state=codes.seed) if r else None
        if not self.transport:
            return
        self.axes = codes.axes[:, :r] if r < len(codes.mean) else None  # all directions need no turning
        targets = self._seen(points.codes)
        heights = start.transport.heights if start and start.transport else self._start(targets.double())
        self.transport.fit(targets, prior=self, weights=points.masses, heights=heights)
        if len(codes.parts) > 1:
            self._try_shapes()

    def _values(self) -> tuple[Any, ...]:
        heights = self.transport.heights if self.transport else None
        return self.sums, self.points, self.directions, self.angle, self.slope, self.trials, heights

    def _start(self, targets: torch.Tensor) -> torch.Tensor:
        """Heights to start from: (n, r) -> (n,)

        In many dimensions each point is in the cell of the nearest code. In few, stochastic steps take long to
        move mass between clusters: on a line cells end at quantiles of many draws, else heights are those
        of the exact problem between some of the codes and as many draws.
        """
        n, r = targets.shape
        if r > _FEW:
            return -targets.square().sum(1) / 2
        some, masses = targets[:_ROUGH], self.points.masses
        seed = generator(self.sums.codes.seed, some, "start")
        draws = self.sample((_DRAWS * n if r == 1 else len(some), r), seed, some)
        if r == 1:
            ends = masses[targets[:, 0].argsort()].cumsum(0)[:-1] * (len(draws) / masses.sum())
            return interval_heights(targets[:, 0], draws[:, 0].sort().values[ends.long()])
        own = masses[:_ROUGH] * (len(some) / masses[:_ROUGH].sum())
        phi = solve_kantorovich(*(x.numpy(force=True) for x in (draws, some, torch.ones_like(own), own))).phi
        potential = torch.from_numpy(phi).to(some) + draws.square().sum(1) / 2
        return torch.cat([(potential - part @ draws.T).amin(1) for part in targets.split(_ROUGH)])

    def __repr__(self) -> str:
        if not self.transport:
            return "mean and covariance"
        if not self.directions:
            if not self.trials:
                return f"mean and covariance; too few codes are kept aside to judge sums of {len(self.sums.weights)}"
            tried = self.trial.directions
            return f"mean and covariance; transport in {tried} directions was no nearer to codes kept aside"
        kind = "to stored codes" if self.sums.codes.stored else f"with angle {self.angle:g} and slope {self.slope:g}"
        return f"mean and covariance, then transport in {self.directions} directions {kind}"

    def sample(self, shape: Sequence[int], rng: Any, like: torch.Tensor) -> torch.Tensor:
        """Draws from the law in the leading directions, that transport starts from."""
        return self.sample_with_own(shape, rng, like)[0]

    def sample_with_own(self, shape: Sequence[int], rng: Any, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Such draws, and the codes that they are sums of, to which transport does not take them.

        None are named where codes are so few, or one of them has such a mass, that others could not do without them.
        """
        u, own = self.sums.drawn(self.points, shape[0], rng)
        masses = self.points.masses
        few = _DISPENSABLE * float(masses.max()) * own.shape[1] > float(masses.sum())
        return self._seen(u).to(like), own[:, :0] if few else own

    def __call__(self, u: torch.Tensor) -> torch.Tensor:
        """Matched points: (n, d) -> (n, d)."""
        if len(u) >= _TESTED:
            self._warn_unless_followed(u.detach())
        return self._moved(u, self.angle, self.slope) if self.directions else u

    def _moved(self, u: torch.Tensor, angle: float, slope: float | torch.Tensor) -> torch.Tensor:
        low, S = self._seen(u), self.transport
        moved = S.transport(low) if self.sums.codes.stored else S.extend(low, angle, slope)
        return moved if self.axes is None else u + (moved - low) @ self.axes.T.to(u.dtype)

    def _seen(self, points: torch.Tensor) -> torch.Tensor:
        """Points along the directions of transport: (n, d) -> (n, r)"""
        return points if self.axes is None else points @ self.axes.to(points.dtype)

    def _try_shapes(self) -> None:
        """Choose angle and slope by codes kept aside."""
        if self.sums.of_halves is None:
            return
        halves, index, before = self.sums.of_halves
        for angle, slopes in ((0.0, (0.0,)),) if self.sums.codes.stored else _SHAPES:
            of_halves = [self._moved(u, angle, torch.tensor(slopes)).reshape(len(slopes), *u.shape) for u in halves]
            for slope, mapped in zip(slopes, torch.cat(of_halves, dim=1), strict=True):
                gains = map(gained, before, self.sums.distances(mapped.chunk(2), index), [index, index])
                moved = float((mapped - torch.cat(halves)).square().sum(1).mean().sqrt())
                self.trials.append(Trial(self.directions, angle, slope, moved, *gains))
        _, self.angle, self.slope, *_ = self.trial

    @property
    def trial(self) -> Trial:
        """Of those that are as good as the best the one that moves points least."""
        return min(as_good(self.trials), key=lambda trial: trial.moved)

    def _warn_unless_followed(self, u: torch.Tensor) -> None:
        """Give a `PointsOffLawWarning` if u does not look as sums of independent codes do."""
        x = u[torch.linspace(0, len(u) - 1, _TESTED).long().to(u.device)]
        rng = generator(self.sums.codes.seed, x, "followed")
        p = same_law(x, self.sums.drawn(self.points, _TESTED, rng)[0].to(x))
        if p < _FALSE_ALARMS:
            warnings.warn(
                f"the points of this operation are no sums of independent codes (p = {p:.1e}), so that the result does "
                "not follow the codes' law: do they come from another encoder, other data, or one class of them?",
                PointsOffLawWarning,
                stacklevel=6,
            )
