"""What mean and covariance leave of the map back to the codes, as far as codes kept aside support it."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch

from ot_latent._arrays import draw, generator, progress
from ot_latent.codes.two_samples import energy_distance, same_law
from ot_latent.kantorovich import solve_kantorovich
from ot_latent.laguerre import interval_heights
from ot_latent.semidiscrete import SemiDiscreteOT

FEWEST = 500  # codes of which some are kept aside
_ASIDE = 1_500  # codes in each of the two sets, at most
_PILOT = 2_000  # codes that tell in how many directions transport helps
_SIZES = (8, 16, 32, 64, 128, 256, 512, 1024)
_SLOPES = (0.0, 0.25, 0.5, 0.75)
_ROUNDS = 2  # of sums of the codes kept aside
_CONVINCED = 2.0  # standard errors
_FEW, _DRAWS, _ROUGH = 3, 500, 2_000  # dimensions, draws for each code on a line, and codes in these, for `_start`
_TESTED, _FALSE_ALARMS = 256, 1e-6


class PointsOffLawWarning(UserWarning):
    """Points of a matched operation are no sums of independent codes: the result does not follow the codes' law."""


class Trial(NamedTuple):
    """A map tried on codes kept aside: sums of each half of them, mapped, against the other half.

    Attributes
    ----------
    directions : int
        In which it transports.
    slope : float
        Of `SemiDiscreteOT.extend`.
    energy : float
        `energy_distance` of the mapped sums to the codes: about 0 where both have one law.
    gain, standard_error : float
        By how much it is below that of sums with the right mean and covariance.
    """

    directions: int
    slope: float
    energy: float
    gain: float
    standard_error: float

    @property
    def convincing(self) -> bool:
        """Whether it is nearer to the codes than mean and covariance alone, by two standard errors."""
        return self.gain > _CONVINCED * self.standard_error


@dataclass(frozen=True, eq=False)
class CodeSet:
    """Codes with all that maps of different weights share: (N, d).

    Attributes
    ----------
    stored : bool
        Transport to stored codes, not to new ones.
    aside : bool
        Keep codes aside.
    tolerance, seed
        Of `SemiDiscreteOT`.
    """

    codes: torch.Tensor
    stored: bool
    aside: bool
    tolerance: float
    seed: int

    @cached_property
    def mean(self) -> torch.Tensor:
        return self.codes.mean(0)

    @cached_property
    def axes(self) -> torch.Tensor:
        """Directions in which codes vary, the most first, as columns: (d, d)."""
        centered = (self.codes - self.mean).double()
        return torch.linalg.eigh(centered.T @ centered).eigenvectors.flip(1).to(self.codes.dtype)

    @cached_property
    def parts(self) -> list[torch.Tensor]:
        """Codes that maps are fitted to, and two halves of those kept aside."""
        n = len(self.codes)
        aside = min(_ASIDE, n // 8) if self.aside else 0
        order = torch.from_numpy(np.random.default_rng((self.seed, *b"aside")).permutation(n))
        return [self.codes[part] for part in order.to(self.codes.device).split([n - 2 * aside, aside, aside])]

    @cached_property
    def supported_directions(self) -> int:
        """In how many directions a pilot brings midpoints nearest to codes kept aside: the most of those as good."""
        trials: list[Trial] = []
        midpoint, pilot = np.full(2, 0.5**0.5), self.parts[0][:_PILOT]
        sizes = [r for r in _SIZES if r < self.codes.shape[1]] + [self.codes.shape[1]]
        for r in progress(sizes, "directions of transport"):
            trials.append(Correction(self, midpoint, r, pilot).trial)
            if trials[-1].gain < -_CONVINCED * trials[-1].standard_error:
                break
        best = max(trials, key=lambda trial: trial.gain)
        return max((t.directions for t in trials if t.gain >= max(best.gain - best.standard_error, 0)), default=0)


def drawn(points: torch.Tensor, n: int, rng: Any) -> torch.Tensor:
    """Some of the points, drawn with equal chances: (N, d) -> (n, d)."""
    chance = torch.as_tensor(draw("uniform", n, rng, torch.empty(0, dtype=torch.float64)))
    return points[(chance * len(points)).long().clamp(max=len(points) - 1).to(points.device)]


class Correction:
    """Transport of u, sums of codes that have their mean and covariance, in the leading directions.

    Parameters
    ----------
    codes : CodeSet
    weights : (k,)
        Of norm 1.
    r : int
        How many directions; 0 leaves u as it is.
    points : (n, d) tensor
        The codes that it is fitted to.
    start : Correction, optional
        Of similar weights.

    Attributes
    ----------
    directions : int
        r, or 0 where u is to be left as it is.
    slope : float
        Of `SemiDiscreteOT.extend`.
    trials : list of Trial
        One for each slope; none where nothing was kept aside.
    transport : SemiDiscreteOT or None
        With the certificate of its masses.
    """

    def __init__(
        self, codes: CodeSet, weights: np.ndarray, r: int, points: torch.Tensor, start: "Correction | None" = None
    ) -> None:
        self.codes, self.weights, self.points = codes, weights, points
        self.directions, self.slope = r, 0.0
        self.trials: list[Trial] = []
        self.transport = SemiDiscreteOT(tolerance=codes.tolerance, random_state=codes.seed) if r else None
        if not self.transport:
            return
        self.axes = codes.axes[:, :r] if r < points.shape[1] else None  # all directions need no turning
        targets = self._seen(points)
        heights = start.transport.heights if start and start.transport else self._start(targets.double())
        self.transport.fit(targets, prior=self, heights=heights)
        if len(codes.parts[1]):
            self._try_slopes()

    def _start(self, targets: torch.Tensor) -> torch.Tensor:
        """Heights to start from: (n, r) -> (n,)

        In many dimensions each point is in the cell of the nearest code. In few, stochastic steps take long to
        move mass between clusters: on a line cells end at quantiles of many draws, else heights are those
        of the exact problem between some of the codes and as many draws.
        """
        n, r = targets.shape
        if r > _FEW:
            return -targets.square().sum(1) / 2
        some = targets[:_ROUGH]
        draws = self.sample((_DRAWS * n if r == 1 else len(some), r), generator(self.codes.seed, some, "start"), some)
        if r == 1:
            return interval_heights(targets[:, 0], draws.sort(dim=0).values[_DRAWS::_DRAWS, 0])
        phi = solve_kantorovich(draws.numpy(force=True), some.numpy(force=True)).phi
        potential = torch.from_numpy(phi).to(some) + draws.square().sum(1) / 2
        return torch.cat([(potential - part @ draws.T).amin(1) for part in targets.split(_ROUGH)])

    def __repr__(self) -> str:
        if not self.transport:
            return "mean and covariance"
        if not self.directions:
            tried = self.trial.directions
            return f"mean and covariance; transport in {tried} directions was no nearer to codes kept aside"
        kind = "to stored codes" if self.codes.stored else f"with slope {self.slope:g}"
        return f"mean and covariance, then transport in {self.directions} directions {kind}"

    def sample(self, shape: Sequence[int], rng: Any, like: torch.Tensor) -> torch.Tensor:
        """Draws from the law in the leading directions, that transport starts from."""
        u = self.standardised([drawn(self.points, shape[0], rng) for _ in self.weights])
        return self._seen(u).to(like)

    def standardised(self, zs: Sequence[torch.Tensor]) -> torch.Tensor:
        """u of codes."""
        y: Any = sum(float(w) * z for w, z in zip(self.weights, zs, strict=True))
        return y + (1 - float(self.weights.sum())) * self.codes.mean

    def __call__(self, u: torch.Tensor) -> torch.Tensor:
        """Matched points: (n, d) -> (n, d)."""
        if len(u) >= _TESTED:
            self._warn_unless_followed(u.detach())
        return self._moved(u, self.slope) if self.directions else u

    def _moved(self, u: torch.Tensor, slope: float) -> torch.Tensor:
        low, S = self._seen(u), self.transport
        moved = S.transport(low) if self.codes.stored else S.extend(low, slope=slope)
        return moved if self.axes is None else u + (moved - low) @ self.axes.T.to(u.dtype)

    def _seen(self, points: torch.Tensor) -> torch.Tensor:
        """Points along the directions of transport: (n, d) -> (n, r)"""
        return points if self.axes is None else points @ self.axes.to(points.dtype)

    def _try_slopes(self) -> None:
        """Choose the slope by codes kept aside."""
        _, *halves = self.codes.parts
        k, n = len(self.weights), len(halves[0])
        rng = np.random.default_rng((self.codes.seed, *b"sums"))
        # in each round every code is in k sums; both halves are summed, and judge the sums of the other
        index = np.concatenate([[rng.permutation(n) for _ in range(k)] for _ in range(_ROUNDS)], axis=1)
        sums = [self.standardised([half[torch.from_numpy(part).to(half.device)] for part in index]) for half in halves]
        linear = [energy_distance(*pair) for pair in zip(sums, halves[::-1], strict=True)]
        for slope in _SLOPES[: 1 if self.codes.stored else None]:
            moved = [self._moved(u, slope) for u in sums]
            trials = [energy_distance(*pair) for pair in zip(moved, halves[::-1], strict=True)]
            by_sum, by_code = (
                np.array([(a[i] - b[i]).numpy(force=True) for a, b in zip(linear, trials, strict=True)]) for i in (1, 2)
            )
            # the variance of a mean over sums: of what each code brings to all of its sums, and of the rest
            brought = (
                np.array([np.bincount(index.ravel(), np.tile(row, k)) for row in by_sum]) / _ROUNDS + by_code[::-1]
            )
            rest = by_sum.var(1)
            variance = (np.maximum(brought.var(1) - rest * k / _ROUNDS, 0) + rest / _ROUNDS).sum() / (4 * n)
            energy, before = (sum(value for value, *_ in each) / 2 for each in (trials, linear))
            self.trials.append(Trial(self.directions, slope, energy, before - energy, math.sqrt(variance)))
        self.slope = self.trial.slope

    @property
    def trial(self) -> Trial:
        """The least slope that is as good as the best, within a standard error, and as convincing."""
        best = max(self.trials, key=lambda trial: trial.gain)
        good = (t for t in self.trials if t.gain >= best.gain - best.standard_error)
        return next(t for t in good if t.convincing or not best.convincing)

    def _warn_unless_followed(self, u: torch.Tensor) -> None:
        """Give a `PointsOffLawWarning` if u does not look as sums of independent codes do."""
        x = u[torch.linspace(0, len(u) - 1, _TESTED).long().to(u.device)]
        rng = generator(self.codes.seed, x, "followed")
        p = same_law(x, self.standardised([drawn(self.points, _TESTED, rng) for _ in self.weights]).to(x))
        if p < _FALSE_ALARMS:
            warnings.warn(
                f"the points of this operation are no sums of independent codes (p = {p:.1e}), so that the result does "
                "not follow the codes' law: do they come from another encoder, other data, or one class of them?",
                PointsOffLawWarning,
                stacklevel=6,
            )
