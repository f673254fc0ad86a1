"""Laguerre cells: which of N planes is highest, the masses of their cells, and the ascent of the semi-dual.

The equations stand in `semidiscrete`.
"""

import hashlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import norm

from ot_latent._arrays import covariance_root, generator
from ot_latent._storage import read_tensors, save_tensors

_GROUP = 32  # codes whose maximum is taken at once; the position within comes later
_TILE = {"cpu": (4096, 256), "cuda": (65_536, 2_048)}  # codes x noise: fits the cache, fills the GPU
TABLE = 2**24  # scores that are held at a time, 64 MB, where a whole row of them is needed
_FIRST = 32  # steps of the first round, over which noise averages out
_TOUCH = 8  # noise points for each code, one of which its plane has to reach at the start
_LARGEST = 16  # of the height steps that one noise point may cause: cells of little mass would jump


class Estimate(NamedTuple):
    """A Monte-Carlo estimate and the ends of its interval, 95 % unless stated otherwise."""

    value: float
    low: float
    high: float


class Cells:
    """The cells of N planes: which plane is highest at each point.

    It is found by tiles: memory O(codes x d + tile), never noise x codes. A maximum over groups of
    codes is vectorised, an argmax over all of them is not: find the best group first, then the code
    within that group.
    """

    def __init__(self, codes: torch.Tensor) -> None:
        self.n, d = codes.shape
        self.codes_in_tile, self.rows = _TILE[codes.device.type]
        planes = codes.new_zeros(math.ceil(self.n / _GROUP) * _GROUP, d + 1)
        planes[: self.n, :d] = codes
        planes[self.n :, d] = -1e30  # planes that only fill the last group are never the highest
        self.planes, self.groups = planes, planes.view(-1, _GROUP, d + 1)
        self.tile = codes.new_empty(min(self.codes_in_tile, len(planes)) * self.rows)

    @property
    def codes(self) -> torch.Tensor:
        """Slopes of the planes: (N, d)"""
        return self.planes[: self.n, :-1]

    @property
    def heights(self) -> torch.Tensor:
        """Heights of the planes at 0: (N,)"""
        return self.planes[: self.n, -1]

    def set_heights(self, heights: torch.Tensor) -> None:
        """Move the planes to these heights: (N,)"""
        self.planes[: self.n, -1] = heights

    def highest(self, noise: torch.Tensor) -> torch.Tensor:
        """Index of the plane that is highest at each point: (m, d) -> (m,)"""
        return torch.cat([self._highest(rows) for rows in noise.split(self.rows)])

    def slack(self, noise: torch.Tensor) -> torch.Tensor:
        """How far each plane is below the envelope at the noise point where it is nearest: (N,)"""
        least = torch.full_like(self.planes[:, 0], math.inf)
        for rows in noise.split(self.rows):
            points = F.pad(rows, (0, 1), value=1.0).T.contiguous()
            top = (self.planes[self._highest(rows)] * points.T).sum(1)
            for scores, part in zip(self._tiles(points), least.split(self.codes_in_tile), strict=True):
                torch.minimum(part, (top - scores).amin(1).clamp(min=0), out=part)
        return least[: self.n]

    def _highest(self, noise: torch.Tensor) -> torch.Tensor:
        points = F.pad(noise, (0, 1), value=1.0).T.contiguous()  # planes @ (z, 1) are heights of planes
        tops = [scores.view(-1, _GROUP, len(noise)).amax(1) for scores in self._tiles(points)]
        group = torch.cat(tops).max(0).indices
        within = torch.bmm(self.groups[group], points.T[:, :, None]).squeeze(2).argmax(1)
        return group * _GROUP + within

    def _tiles(self, points: torch.Tensor) -> Iterator[torch.Tensor]:
        for planes in self.planes.split(self.codes_in_tile):
            size = len(planes), points.shape[1]
            yield torch.mm(planes, points, out=self.tile[: math.prod(size)].view(size))


def estimate_mass_error(counts: torch.Tensor, masses: torch.Tensor, level: float = 0.05) -> Estimate:
    """The chi^2 distance of the cells' masses p from b, sum_j (p_j - b_j)^2 / b_j, without bias.

    sum_j (q_j - b_j) (r_j - b_j) / b_j is unbiased when q and r are the frequencies of two
    independent sets of noise. Its mean over all ways to halve n points is the U-statistic

        sum_j n_j (n_j - 1) / b_j / (n (n - 1)) - 1,

    which has half the variance. More points make it sharper, never smaller.

    Parameters
    ----------
    counts : (N,)
        n_j, noise points in each cell.
    masses : (N,)
        b_j.
    level : float
        The interval misses the error with this probability.
    """
    k, b = counts.double(), masses.double()
    n = float(k.sum())
    pairs = k * (k - 1)
    value = float((pairs / b).sum()) / (n * (n - 1)) - 1
    # Hoeffding: Var = 4 Var(p(z) / b(z)) / n + 2 sum p^2 / b^2 / n^2, powers of p by factorials.
    # The first variance is the error itself plus a skewness. An interval that solves for the error,
    # as Wilson's for a proportion, also covers when estimate and variance are both too low.
    slope = float((pairs * (k - 2) / b**2).sum()) / (n * (n - 1) * (n - 2)) - (1 + value) ** 2
    skewness = max(slope - max(value, 0.0), 0.0)
    variance = 4 * skewness / n + 2 * float((pairs / b**2).sum()) / n**4
    z = float(norm.isf(level / 2))
    center, spread = value + 2 * z**2 / n, max(4 * value / n + variance + 4 * z**2 / n**2, 0.0)
    half = z * math.sqrt(spread)
    return Estimate(value, center - half, center + half)


@dataclass
class AscentState:
    """Where an ascent stands; all of it goes to disk. Heights are those of the scaled codes."""

    heights: torch.Tensor
    mean: torch.Tensor  # of the heights after all steps, step t with weight t
    size: float = math.nan  # of a step
    length: int = 0  # steps of this round
    done: int = 0  # steps of this round that were made
    steps: int = 0
    looks: int = 0  # intervals that could have ended the fit

    def save(self, path: Path, fit: str) -> None:
        """Write the state of a fit, which its fingerprint names."""
        numbers = dict(vars(self))
        tensors = {name: numbers.pop(name) for name in ("heights", "mean")}
        save_tensors(path, tensors, {"fit": fit, "numbers": numbers})

    @classmethod
    def restore(cls, path: Path, fit: str, device: torch.device) -> "AscentState":
        """Read the state of the fit with this fingerprint; another one's is refused with a ValueError."""
        try:
            tensors, facts = read_tensors(path)
        except ValueError as error:
            raise ValueError(f"{error}; remove it to start anew") from error
        if facts.get("fit") != fit:
            differs = "codes, prior, weights, heights or random_state differ"
            raise ValueError(f"{path} is the state of another fit ({differs}); remove it to start anew")
        return cls(**{name: value.to(device) for name, value in tensors.items()}, **facts["numbers"])


class SemiDual:
    """The semi-dual F(h) of N codes, its stochastic gradients and the error of its maximiser.

    Parameters
    ----------
    codes : (N, d) tensor
    masses : (N,) double tensor
        b, with sum 1.
    prior : law with ``sample``
    seed : int
    """

    def __init__(self, codes: torch.Tensor, masses: torch.Tensor, prior: Any, seed: int) -> None:
        self.codes, self.masses, self.prior, self.seed = codes, masses, prior, seed
        centered = codes - masses.to(codes.dtype) @ codes
        self.scale = float(centered.square().mean().sqrt()) or 1.0
        self.cells = Cells((centered / self.scale).float())
        self.heights = torch.zeros_like(masses)
        self.batch = max(256, len(codes) // 4)

    def linear_start(self) -> torch.Tensor:
        """Heights of the scaled codes under the linear map with their covariance C: (N,)

        From noise of mean m and covariance s^2 I the map is z -> A (z - m), A = C^{1/2} / s, the
        gradient of u(z) = (z - m).A (z - m) / 2, and -h is the conjugate of u.
        """
        noise = next(self.noise(4096, self.seeded("start"))).double()
        codes = self.cells.codes.double()
        covariance = codes.T * self.masses @ codes
        root = torch.from_numpy(covariance_root(covariance.cpu().numpy(), least=1e-12))
        inverse = noise.std() * torch.linalg.inv(root).to(codes)
        return -(codes @ inverse * codes).sum(1) / 2 - codes @ noise.mean(0)

    def set_heights(self, scaled: torch.Tensor) -> None:
        """Set the heights, given for the scaled codes, in the gauge sum_j b_j h_j = 0."""
        scaled = scaled - self.masses @ scaled
        self.cells.set_heights(scaled)
        self.heights = self.scale * scaled

    def seeded(self, purpose: str, step: int = 0) -> torch.Generator:
        """The generator of a purpose and step: each has noise of its own, so that resumed runs draw the same."""
        words = np.random.SeedSequence([self.seed, step, *purpose.encode()])
        return generator(int(words.generate_state(1, np.uint64)[0] >> 1), self.cells.planes)

    def noise(self, n: int, rng: torch.Generator) -> Iterator[torch.Tensor]:
        """Points of the prior, n in all, a batch at a time."""
        d = self.codes.shape[1]
        for first in range(0, n, self.batch):
            yield self.prior.sample((min(self.batch, n - first), d), rng, like=self.cells.planes)

    def counts(self, n: int, rng: torch.Generator) -> torch.Tensor:
        """Noise points in each cell: (N,)"""
        counts = torch.zeros_like(self.masses)
        for noise in self.noise(n, rng):
            counts += torch.bincount(self.cells.highest(noise), minlength=len(counts))
        return counts

    def phi(self, points: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
        """The potential D(z) where the cells are known: (m, d), (m,) -> (m,); differentiable."""
        codes, heights = self.codes[cells].to(points.dtype), self.heights[cells].to(points.dtype)
        return (points * codes).sum(1) + heights - points.square().sum(1) / 2

    def margin(self) -> float:
        """Height of the highest plane above the second: the scale on which masses change.

        Borders lie where it is small, so its lowest tenth tells the mean of an exponential law.
        """
        margins = []
        for noise in self.noise(1024, self.seeded("margin")):
            for rows in noise.split(max(1, TABLE // self.cells.n)):
                best = (rows @ self.cells.codes.T + self.cells.heights).topk(2, dim=1).values
                margins.append(best[:, 0] - best[:, 1])
        return float(torch.cat(margins).quantile(0.1)) / -math.log(0.9)

    def value(self, n: int, rng: torch.Generator) -> tuple[torch.Tensor, Estimate]:
        """The counts of n noise points, and E F(h) + (E ‖y‖² + E ‖z‖²) / 2, the dual value."""
        counts, phi = torch.zeros_like(self.masses), []
        for noise in self.noise(n, rng):
            cells = self.cells.highest(noise)
            counts += torch.bincount(cells, minlength=len(counts))
            phi.append(self.phi(noise.double(), cells))
        phi = torch.cat(phi)
        psi = self.heights + self.codes.square().sum(1) / 2
        value, half = float(self.masses @ psi - phi.mean()), float(norm.isf(0.025)) * math.sqrt(float(phi.var()) / n)
        return counts, Estimate(value, value - half, value + half)

    def fingerprint(self, start: torch.Tensor) -> str:
        """What tells a fit to this problem from this start from all others."""
        digest = hashlib.sha256(repr((self.prior, self.seed)).encode())
        for values in (self.codes, self.masses, start):
            digest.update(values.cpu().numpy().tobytes())
        return digest.hexdigest()


class Ascent:
    """The ascent of the semi-dual from a start to heights with certified masses.

    A round of steps has one step size. After it the averaged heights are certified on fresh noise.
    Each round has sqrt(2) times the steps of the one before, and steps smaller by as much. Means
    with weights that grow with the step have an error near (N - 1) / draws, the least that means of
    stochastic gradients can have (Polyak and Juditsky 1992; Lacoste-Julien et al. 2012).
    """

    error: Estimate
    cost: Estimate

    def __init__(self, dual: SemiDual, tolerance: float, max_steps: int) -> None:
        self.dual, self.tolerance, self.max_steps = dual, tolerance, max_steps

    @property
    def converged(self) -> bool:
        """Whether the masses are certified to be within the tolerance."""
        return self.error.high <= self.tolerance

    def climb(self, start: torch.Tensor, resume: Path | None, save_seconds: float) -> int:
        """Climb to the end; returns the number of steps and leaves the averaged heights in `dual`."""
        fit = self.dual.fingerprint(start)
        state = AscentState(start.clone(), start.clone())
        if resume and resume.is_file():
            state = AscentState.restore(resume, fit, start.device)
        saved = time.monotonic()
        while state.done < state.length or not self._ends(state):
            self.step(state)
            if resume and time.monotonic() - saved > save_seconds:
                state.save(resume, fit)
                saved = time.monotonic()
        if resume:
            state.save(resume, fit)
        return state.steps

    def step(self, state: AscentState) -> None:
        """Move the heights by one stochastic gradient."""
        dual = self.dual
        dual.cells.set_heights(state.heights)
        counts = dual.counts(dual.batch, dual.seeded("step", state.steps))
        # the Hessian's diagonal is about b / margin: divided by b, one step size suits all cells
        gradient = dual.masses - counts / dual.batch
        state.heights += state.size * gradient / dual.masses.clamp(min=1 / (_LARGEST * dual.batch))
        state.done, state.steps = state.done + 1, state.steps + 1
        state.mean += (state.heights - state.mean) * 2 / (state.steps + 1)

    def _ends(self, state: AscentState) -> bool:
        """At the end of a round: certify its heights, or prepare the next round."""
        looked = self._look(state)
        if (looked and self.converged) or state.steps >= self.max_steps:
            return True
        state.looks += looked
        if not state.steps:
            # as if the steps that lead to heights as good as these had been made
            error = max(self.error.value, self.tolerance)
            state.length = math.ceil(max(_FIRST, len(state.heights) / (self.dual.batch * error)))
            # lift planes without noise to the envelope: psi becomes the c-transform of phi
            slack = torch.full_like(state.heights, math.inf)
            self.dual.cells.set_heights(state.heights)
            for noise in self.dual.noise(_TOUCH * len(slack), self.dual.seeded("touch")):
                slack = torch.minimum(slack, self.dual.cells.slack(noise).double())
            state.heights += slack
            self.dual.set_heights(state.heights)
            state.size = self.dual.margin() / 4 * _FIRST / state.length
        else:
            state.size /= math.sqrt(2)
            state.length = math.ceil(math.sqrt(2) * state.length)
        state.done, state.length = 0, min(state.length, self.max_steps - state.steps)
        return False

    def _look(self, state: AscentState) -> bool:
        """Certify the averaged heights; False where a first glance shows that it would fail."""
        dual = self.dual
        dual.set_heights(state.mean)
        # enough for a standard error of a tenth of the tolerance
        enough = math.ceil((10 * math.sqrt(2 * len(state.mean)) + 400) / self.tolerance)
        glance = dual.counts(enough // 8, dual.seeded("glance", state.steps))
        self.error = estimate_mass_error(glance, dual.masses)
        if self.error.low > self.tolerance and state.steps < self.max_steps:
            return False
        counts, self.cost = dual.value(enough, dual.seeded("certify", state.steps))
        self.error = estimate_mass_error(counts, dual.masses, 0.05 / 2**state.looks)
        return True
