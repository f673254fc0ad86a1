"""Stochastic ascent of the semi-dual; the equations stand in `semidiscrete`."""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ot_latent._arrays import generator
from ot_latent._roots import covariance_root
from ot_latent.checkpoints import read_state, save_tensors
from ot_latent.laguerre import Cells, Estimate, estimate_mass_error

TABLE = 2**24  # scores that are held at a time where a whole row of them is needed
_FIRST = 32  # steps of the first round
_TOUCH = 8  # noise points for each code, one of which its plane has to reach at the start
_LARGEST = 16  # of the height steps that one noise point may cause
_SAVE_SECONDS = 30  # between two states on disk


@dataclass
class Run:
    """Where a fit stands; all of it goes to disk. Heights are those of the scaled codes."""

    heights: torch.Tensor
    mean: torch.Tensor  # of the heights after all steps, step t with weight t
    size: float = math.nan  # of a step
    length: int = 0  # steps of this round
    done: int = 0  # steps of this round that were made
    steps: int = 0
    looks: int = 0  # intervals that could have ended the fit

    def save(self, path: Path, fit: str) -> None:
        tensors = {key: value for key, value in vars(self).items() if torch.is_tensor(value)}
        numbers = {key: value for key, value in vars(self).items() if key not in tensors}
        save_tensors(path, tensors, {"fit": fit, "numbers": numbers})

    @classmethod
    def load(cls, path: Path, fit: str, device: torch.device) -> Run:
        try:
            tensors, facts = read_state(path)
        except ValueError as error:
            raise ValueError(f"{error}; remove it to start anew") from error
        if facts.get("fit") != fit:
            raise ValueError(
                f"{path} is the state of another fit (codes, prior, weights, heights or "
                "random_state differ); remove it to start anew"
            )
        tensors = {name: value.to(device) for name, value in tensors.items()}
        return cls(**tensors, **facts["numbers"])


class SemiDual:
    """F(h) for N codes, its stochastic gradients and the error of its maximiser.

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

    def lift(self, scaled: torch.Tensor) -> None:
        """Set the heights, given for the scaled codes, in the gauge sum_j b_j h_j = 0."""
        scaled = scaled - self.masses @ scaled
        self.cells.lift(scaled)
        self.heights = self.scale * scaled

    def seeded(self, purpose: str, step: int = 0) -> torch.Generator:
        """Every purpose and step has noise of its own, so that resumed runs draw the same."""
        words = np.random.SeedSequence([self.seed, step, *purpose.encode()])
        return generator(int(words.generate_state(1, np.uint64)[0] >> 1), self.cells.planes)

    def noise(self, n: int, rng: torch.Generator):
        """n points of the prior, a batch at a time."""
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
        """D(z) where the cells are known; differentiable."""
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
        """The counts of n noise points, and E F(h) + (E |y|^2 + E |z|^2) / 2, the dual value."""
        counts, phi = torch.zeros_like(self.masses), []
        for noise in self.noise(n, rng):
            cells = self.cells.highest(noise)
            counts += torch.bincount(cells, minlength=len(counts))
            phi.append(self.phi(noise.double(), cells))
        phi = torch.cat(phi)
        psi = self.heights + self.codes.square().sum(1) / 2
        return counts, Estimate.normal(float(self.masses @ psi - phi.mean()), float(phi.var()) / n)

    def fingerprint(self, start: torch.Tensor) -> str:
        digest = hashlib.sha256(repr((self.prior, self.seed)).encode())
        for values in (self.codes, self.masses, start):
            digest.update(values.cpu().numpy().tobytes())
        return digest.hexdigest()


class Ascent:
    """From a start to heights with certified masses.

    A round of steps has one step size. After it the averaged heights are certified on fresh noise.
    Each round has sqrt(2) times the steps of the one before, and steps smaller by as much. Means
    with weights that grow with the step have an error near (N - 1) / draws, the least that means of
    stochastic gradients can have (Polyak and Juditsky 1992; Lacoste-Julien et al. 2012).
    """

    def __init__(self, dual: SemiDual, tolerance: float, max_steps: int) -> None:
        self.dual, self.tolerance, self.max_steps = dual, tolerance, max_steps
        self.error: Estimate
        self.cost: Estimate

    @property
    def converged(self) -> bool:
        return self.error.high <= self.tolerance

    def climb(self, start: torch.Tensor, resume: Path | None = None) -> int:
        """Returns the number of steps; leaves the averaged heights in `dual`."""
        fit = self.dual.fingerprint(start)
        if resume and resume.is_file():
            run = Run.load(resume, fit, start.device)
        else:
            run = Run(start.clone(), start.clone())
        saved = time.monotonic()
        while run.done < run.length or not self._ends(run):
            self._step(run)
            if resume and time.monotonic() - saved > _SAVE_SECONDS:
                run.save(resume, fit)
                saved = time.monotonic()
        if resume:
            run.save(resume, fit)
        return run.steps

    def _step(self, run: Run) -> None:
        dual = self.dual
        dual.cells.lift(run.heights)
        counts = dual.counts(dual.batch, dual.seeded("step", run.steps))
        # the Hessian's diagonal is about b / margin: divided by b, one step size suits all cells
        gradient = dual.masses - counts / dual.batch
        run.heights += run.size * gradient / dual.masses.clamp(min=1 / (_LARGEST * dual.batch))
        run.done += 1
        run.steps += 1
        run.mean += (run.heights - run.mean) * 2 / (run.steps + 1)

    def _ends(self, run: Run) -> bool:
        """At the end of a round: certify its heights, or prepare the next round."""
        looked = self._look(run)
        if (looked and self.converged) or run.steps >= self.max_steps:
            return True
        run.looks += looked
        if not run.steps:
            # as if the steps that lead to heights as good as these had been made
            error = max(self.error.value, self.tolerance)
            run.length = math.ceil(max(_FIRST, len(run.heights) / (self.dual.batch * error)))
            self._touch(run)
            run.size = self.dual.margin() / 4 * _FIRST / run.length
        else:
            run.size /= math.sqrt(2)
            run.length = math.ceil(math.sqrt(2) * run.length)
        run.length = min(run.length, self.max_steps - run.steps)
        run.done = 0
        return False

    def _touch(self, run: Run) -> None:
        """Lift planes without noise to the envelope: psi becomes the c-transform of phi."""
        dual = self.dual
        slack = torch.full_like(run.heights, math.inf)
        dual.cells.lift(run.heights)
        for noise in dual.noise(_TOUCH * len(slack), dual.seeded("touch")):
            slack = torch.minimum(slack, dual.cells.slack(noise).double())
        run.heights += slack
        dual.lift(run.heights)

    def _look(self, run: Run) -> bool:
        """Certify the averaged heights; False where a first glance shows that it would fail."""
        dual = self.dual
        dual.lift(run.mean)
        # enough for a standard error of a tenth of the tolerance
        enough = math.ceil((10 * math.sqrt(2 * len(run.mean)) + 400) / self.tolerance)
        glance = dual.counts(enough // 8, dual.seeded("glance", run.steps))
        self.error = estimate_mass_error(glance, dual.masses)
        if self.error.low > self.tolerance and run.steps < self.max_steps:
            return False
        counts, self.cost = dual.value(enough, dual.seeded("certify", run.steps))
        self.error = estimate_mass_error(counts, dual.masses, 0.05 / 2**run.looks)
        return True
