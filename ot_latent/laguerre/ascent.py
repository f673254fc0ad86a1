"""The ascent of the semi-dual to heights with certified masses, and its state on disk."""

import math
import time
import warnings
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from typing import Any

import torch

from ot_latent._arrays import progress_bar
from ot_latent._storage import StateWarning, read_tensors, save_tensors
from ot_latent.laguerre.certificate import Estimate, estimate_mass_error
from ot_latent.laguerre.dual import TABLE, SemiDual

_FIRST = 32  # steps of the first round, over which noise averages out
_TOUCH = 8  # noise points for each code, one of which its plane has to reach at the start
_MOST = 2**33  # noise points x codes of one certificate: a few seconds
_DEEP = 5  # margins that planes of sunk cells lie lower: exp(-5) of the noise that would reach them
_LARGEST = 16  # of the height steps that one noise point may cause: cells of little mass would jump


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
        try:
            save_tensors(path, tensors, {"fit": fit, "numbers": numbers})
        except OSError as error:
            warnings.warn(f"{path} could not be written: {error}. The fit goes on without it", StateWarning, 2)

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


class Ascent:
    """The ascent of the semi-dual from a start to heights with certified masses.

    A round of steps has one step size. After it the averaged heights are certified on fresh noise.
    Each round has sqrt(2) times the steps of the one before, and steps smaller by as much. Means
    with weights that grow with the step have an error near (N - 1) / draws, the least that means of
    stochastic gradients can have (Polyak and Juditsky 1992; Lacoste-Julien et al. 2012).
    """

    error: Estimate
    cost: Estimate

    def __init__(self, dual: SemiDual, tolerance: float, max_steps: int, mapped: Any = starmap) -> None:
        self.dual, self.tolerance, self.max_steps, self.mapped = dual, tolerance, max_steps, mapped
        # for a standard error of a tenth of the tolerance; rare cells may need more
        n = len(dual.masses)
        usual = max(32, n, math.ceil((10 * math.sqrt(2 * n) + 400) / tolerance))
        self.enough, most = usual, max(8 * usual, _MOST // (n + 1_000))
        while self._least_high() > tolerance / 2 and self.enough < most:
            self.enough *= 2
        self.hopeless = self._least_high() > tolerance  # the smallest cells stay unknown
        self.enough = usual if self.hopeless else self.enough
        order = dual.masses.argsort()
        little = dual.masses[order].cumsum(0) <= tolerance / 20
        self.sunk = order[little & (self.enough * dual.masses[order] < 1)]

    def _least_high(self) -> float:
        """The upper end of the interval if no cell has more points than it should have."""
        whole = (self.enough * self.dual.masses * (1 + 1e-9)).floor()  # n times 1 / n may be less than one
        return estimate_mass_error(whole, self.dual.masses).high

    @property
    def remedy(self) -> str:
        """What helps where the masses are not certified."""
        if not self.hopeless:
            return "raise max_steps or tolerance"
        return f"noise does not tell cells of mass {float(self.dual.masses.min()):.1g}; leave such codes out"

    def climb(self, start: torch.Tensor, resume: Path | None, save_seconds: float) -> int:
        """Climb to the end; returns the number of steps and leaves the averaged heights in `dual`."""
        fit = self.dual.fingerprint(start)
        start[self.sunk] = -1e6 * (1 + start.abs().max())  # out of the way
        state = AscentState(start.clone(), start.clone())
        if resume and resume.is_file():
            state = AscentState.restore(resume, fit, start.device)
        saved = time.monotonic()
        with progress_bar("semi-discrete transport", self.max_steps, state.steps, "steps") as self.bar:
            self.dual.at_work = lambda: self.bar.update(0)
            while state.done < state.length or not self._ends(state):
                self.step(state)
                self.bar.update()
                if resume and time.monotonic() - saved > save_seconds:
                    state.save(resume, fit)
                    saved = time.monotonic()
        self.dual.at_work = None  # fits can be pickled
        if resume:
            state.save(resume, fit)
        return state.steps

    def step(self, state: AscentState) -> None:
        """Move the heights by one stochastic gradient."""
        dual = self.dual
        dual.cells.set_heights(state.heights)
        points = dual.batch * dual.crossings
        gradient = dual.masses - dual.step_counts(state.steps) / points
        gradient[self.sunk] = 0
        state.heights += dual.conditioned(state.size * gradient, 1 / (_LARGEST * points))
        state.done, state.steps = state.done + 1, state.steps + 1
        state.mean += (state.heights - state.mean) * 2 / (state.steps + 1)

    def _ends(self, state: AscentState) -> bool:
        """At the end of a round: certify its heights, or prepare the next round."""
        looked = self._look(state)
        met = self.error.high if not self.hopeless else self.error.value
        if (looked and met <= self.tolerance) or state.steps >= self.max_steps:
            return True
        state.looks += looked
        if not state.steps:
            # as if the steps that lead to heights as good as these had been made
            error = max(self.error.value, self.tolerance)
            state.length = math.ceil(max(_FIRST, len(state.heights) / (self.dual.batch * self.dual.crossings * error)))
            # lift planes without noise to the envelope: psi becomes the c-transform of phi
            slack = torch.full_like(state.heights, math.inf)
            self.dual.cells.set_heights(state.heights)
            for noise, own in self.dual.noise(_TOUCH * len(slack), self.dual.seeded("touch")):
                slack = torch.minimum(slack, self.dual.cells.slack(noise, own).double())
            slack[self.sunk] = 0
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
        glance = dual.counts(self.enough // 8, dual.seeded("glance", state.steps), self.mapped)
        self.error = estimate_mass_error(glance, dual.masses, 0.3)  # a certificate costs eight times as much
        self.bar.set_postfix_str(f"mass error {self.error.value:.2g}")
        if self.error.low > self.tolerance and state.steps < self.max_steps:
            return False
        if len(self.sunk):
            self._place_sunk(state)
        counts, self.cost = dual.value(self.enough, dual.seeded("certify", state.steps), self.mapped)
        self.error = estimate_mass_error(counts, dual.masses, 0.05 / 2**state.looks)
        return True

    def _place_sunk(self, state: AscentState) -> None:
        """Put the planes of sunk cells just below the envelope, where noise is not expected to see them."""
        dual, sunk = self.dual, self.sunk
        heights, cells = state.mean.clone(), dual.cells
        codes = cells.codes[sunk]
        least = torch.full_like(codes[:, 0], math.inf)
        size = max(1, TABLE // len(sunk))
        for noise, own in dual.noise(self.enough, dual.seeded("place", state.steps)):
            for rows, apart in zip(noise.split(size), own.split(size), strict=True):
                best = cells.highest(rows, apart)
                top = (rows * cells.codes[best]).sum(1) + cells.heights[best]
                least = torch.minimum(least, (top[:, None] - rows @ codes.T).amin(0))
        heights[sunk] = least.double() - _DEEP * dual.margin() + dual.masses @ heights
        dual.set_heights(heights)
