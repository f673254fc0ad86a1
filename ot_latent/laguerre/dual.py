"""The semi-dual of N codes: its noise, its gradients, its value, and where it is known in closed form."""

import hashlib
import math
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import starmap
from typing import Any

import numpy as np
import torch
from scipy.stats import norm

from ot_latent._arrays import generator
from ot_latent.laguerre.cells import WIDE, Cells
from ot_latent.laguerre.certificate import Estimate
from ot_latent.laguerre.clusters import clusters
from ot_latent.monotone import Law
from ot_latent.priors.laws import ByValue
from ot_latent.priors.multivariate import covariance_root

TABLE = 2**24  # scores that are held at a time, 64 MB, where a whole row of them is needed
_CROSSINGS = 8  # noise points of a step for each that is drawn, see `Cells.crossed`
_CENTER = 32  # noise points for each cell that tell its mean: a sixth of the cell's spread
_FAR = 16  # deviations of the noise from zero, from where on it is centred


class SemiDual(ByValue):
    """The semi-dual F(h) of N codes, its stochastic gradients and the error of its maximiser.

    Parameters
    ----------
    codes : (N, d) tensor
    masses : (N,) double tensor
        b, with sum 1.
    prior : law with ``sample``
        With ``sample_with_own``, too, if it makes its points of the codes: (n, d) and their indices, (n, k).
    seed : int
    cell_of : tensor, optional
        The cells of the codes that the prior knows, where these are not all different.
    """

    cell_of: torch.Tensor | None = None  # files of before have none

    def __init__(
        self, codes: torch.Tensor, masses: torch.Tensor, prior: Any, seed: int, cell_of: torch.Tensor | None = None
    ) -> None:
        self.codes, self.masses, self.prior, self.seed, self.cell_of = codes, masses, prior, seed, cell_of
        self.center = masses.to(codes.dtype) @ codes
        self.scale = float((codes - self.center).square().mean().sqrt()) or 1.0
        self.levels = clusters((codes - self.center) / self.scale)
        self._scale_codes()
        self.heights = torch.zeros_like(masses)
        self.batch = max(256, len(codes) // 4)
        self.crossings = _CROSSINGS if codes.shape[1] > WIDE and isinstance(prior, Law) else 1
        self.line: tuple[torch.Tensor, ...] | None = None
        self.at_work: Callable[[], Any] | None = None  # called after each batch of noise
        # noise far from zero loses digits in single precision: it is drawn in double and centred
        drawn = prior.sample((4096, codes.shape[1]), self.seeded("shift"), like=masses)
        mean, std = drawn.mean(0), drawn.std(0)
        self.shift = mean if bool((mean.abs() > _FAR * std).any()) else torch.zeros_like(mean)

    def _scale_codes(self) -> None:
        self.scaled = (self.codes - self.center) / self.scale
        self.cells = Cells(self.scaled.double() if self.levels else self.scaled.float())

    def _values(self) -> tuple[Any, ...]:
        return self.codes, self.masses, self.prior, self.seed, self.heights, self.cells

    def __getstate__(self) -> dict[str, Any]:
        """Without what follows from the rest at once: pickles, copies and files are small."""
        left_out = ("cells", "scaled", "at_work")
        return {k: v for k, v in vars(self).items() if k not in left_out} | {"planes": self.cells.heights.clone()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, at_work=None)
        self._scale_codes()
        self.cells.set_heights(self.__dict__.pop("planes"))

    def solve_on_a_line(self) -> Estimate | None:
        """Exact heights, and the value, of codes on a line; None where they are on none, or its law is not known.

        Cells are intervals between the prior's quantiles along the line.
        """
        from ot_latent.priors.projection import project  # here, because it needs every prior there is

        scaled = self.scaled.double()
        direction = scaled[scaled.square().sum(1).argmax()]
        if len(scaled) == 1:
            direction = torch.eye(len(direction)).to(direction)[0]
        direction = direction / direction.norm() * direction[direction.abs().argmax()].sign()
        places = scaled @ direction
        off = (scaled - places[:, None] * direction).abs().max() * self.scale
        on_it = off <= 4 * torch.finfo(self.codes.dtype).eps * self.codes.abs().max()
        law = project(self.prior, direction.cpu().numpy()) if on_it else None
        if law is None:
            return None
        order = places.argsort()
        s, b = (values[order].cpu().numpy() for values in (places, self.masses))
        ends = torch.from_numpy(law.borders(b)).to(places)
        self.line = direction, ends - direction @ self.shift, order
        self.set_heights(interval_heights(places, ends) + scaled @ self.shift)
        square = float((law.var + (law.mean - self.center.double().cpu().numpy()) ** 2).sum())
        value = (square + self.scale**2 * float(b @ s**2)) / 2 - self.scale * law.moment(b, s)
        return Estimate(value, value, value)

    def scaled_heights(self, heights: torch.Tensor) -> torch.Tensor:
        """Heights of the scaled codes and centred noise, from those of the codes: (N,) -> (N,)"""
        scaled = (heights - self.masses @ heights) / self.scale + self.scaled.double() @ self.shift
        if scaled.abs().max() > 1e30:
            raise ValueError(f"heights must not be further apart than 1e30 times the codes' scale, {self.scale:g}")
        return scaled

    def linear_start(self) -> torch.Tensor:
        """Heights of the scaled codes under the linear map with their covariance C: (N,)

        From noise of mean m and covariance s^2 I the map is z -> A (z - m), A = C^{1/2} / s, the
        gradient of u(z) = (z - m).A (z - m) / 2, and -h is the conjugate of u.
        """
        noise = next(self.noise(4096, self.seeded("start")))[0].double()
        codes = self.cells.codes.double()
        covariance = codes.T * self.masses @ codes
        root = torch.from_numpy(covariance_root(covariance.cpu().numpy(), least=1e-12))
        inverse = noise.std() * torch.linalg.inv(root).to(codes)
        return -(codes @ inverse * codes).sum(1) / 2 - codes @ noise.mean(0)

    def set_heights(self, scaled: torch.Tensor) -> None:
        """Set the heights, given for the scaled codes and centred noise, in the gauge sum_j b_j h_j = 0."""
        scaled = scaled - self.masses @ scaled
        self.cells.set_heights(scaled)
        self.heights = self.scale * (scaled - self.scaled.double() @ self.shift)

    def cell(self, points: torch.Tensor, own: torch.Tensor | None = None) -> torch.Tensor:
        """The cell of each point, which is centred as noise is, its `own` ones apart: (m, d), (m, k) -> (m,)"""
        if self.line is None:
            return self.cells.highest(points.to(self.cells.planes.dtype), own)
        direction, ends, order = self.line
        return order[torch.searchsorted(ends, points.double() @ direction)]

    def seeded(self, purpose: str, step: int = 0) -> torch.Generator:
        """The generator of a purpose and step: each has noise of its own, so that resumed runs draw the same."""
        words = np.random.SeedSequence([self.seed, step, *purpose.encode()])
        return generator(int(words.generate_state(1, np.uint64)[0] >> 1), self.cells.planes)

    def drawn(self, n: int, rng: Any, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Points of the prior, and the cells of the codes that each is made of: (n, d), (n, k)

        A point goes to none of these. For other points of the prior, made of fresh codes, there are none; and in many
        dimensions a sum of codes is so much nearer to these than to all others that masses would be of them alone.
        """
        shape = n, self.codes.shape[1]
        if not hasattr(self.prior, "sample_with_own"):
            return self.prior.sample(shape, rng, like=like), torch.empty(n, 0, dtype=torch.long, device=like.device)
        points, own = self.prior.sample_with_own(shape, rng, like=like)
        return points, own if self.cell_of is None else self.cell_of[own]

    def noise(self, n: int, rng: torch.Generator) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """What is `drawn`, n points in all, a batch at a time, centred if they are far from zero."""
        size, far = max(self.batch, n // 1024), bool(self.shift.any())
        for first in range(0, n, size):
            points, own = self.drawn(min(size, n - first), rng, self.shift if far else self.cells.planes)
            yield self.centered(points).to(self.cells.planes.dtype), own
            if self.at_work:
                self.at_work()

    def centered(self, points: torch.Tensor) -> torch.Tensor:
        """Points of the prior less `shift`."""
        return points.double() - self.shift if bool(self.shift.any()) else points

    def counts(self, n: int, rng: torch.Generator, mapped: Any = starmap) -> torch.Tensor:
        """Noise points in each cell: (N,); batches of noise are counted by `mapped`, which may be an executor's."""
        each = mapped(self._counted, self.noise(n, rng))
        return sum(each, start=torch.zeros_like(self.masses))

    def _counted(self, noise: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        return torch.bincount(self.cell(noise, own), minlength=len(self.masses))

    def step_counts(self, step: int) -> torch.Tensor:
        """Noise points of a step in each cell, `crossings` for each that is drawn: (N,)"""
        if self.crossings == 1:
            return self.counts(self.batch, self.seeded("step", step))
        ((noise, _),) = self.noise(self.batch, self.seeded("step", step))
        return torch.bincount(self.cells.crossed(noise, self.crossings), minlength=len(self.masses)).double()

    @cached_property
    def cell_means(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean of the noise in each cell, and which cells received any."""
        sums, counts = torch.zeros_like(self.cells.codes), torch.zeros_like(self.masses)
        for noise, own in self.noise(_CENTER * len(counts), self.seeded("means")):
            cells = self.cell(noise, own)
            sums.index_add_(0, cells, noise)
            counts += torch.bincount(cells, minlength=len(counts))
        return sums / counts.clamp(min=1)[:, None].to(sums.dtype), counts > 0

    def phi(self, points: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
        """The potential D(z) where the cells are known: (m, d), (m,) -> (m,); differentiable."""
        codes, heights = self.codes[cells].to(points.dtype), self.heights[cells].to(points.dtype)
        return (points * codes).sum(1) + heights - points.square().sum(1) / 2

    def margin(self) -> float:
        """Height of the highest plane above the second: the scale on which masses change.

        Borders lie where it is small, so its lowest tenth tells the mean of an exponential law.
        """
        margins = []
        size = max(1, TABLE // self.cells.n)
        for noise, own in self.noise(1024, self.seeded("margin")):
            for rows, apart in zip(noise.split(size), own.split(size), strict=True):
                scores = (rows @ self.cells.codes.T + self.cells.heights).scatter_(1, apart, -math.inf)
                if self.levels:  # between clusters
                    group = self.levels[0][0].expand_as(scores)
                    scores = torch.full_like(scores, -math.inf).scatter_reduce_(1, group, scores, "amax")
                best = scores.topk(2, dim=1).values
                margins.append(best[:, 0] - best[:, 1])
        return float(torch.cat(margins).quantile(0.1)) / -math.log(0.9)

    def conditioned(self, gradient: torch.Tensor, least: float) -> torch.Tensor:
        """The gradient by the inverse of an approximate Hessian, whose diagonal is about b / margin: (N,)

        Divided by b, one step size suits all cells; that of a cluster's codes among each other is as
        much smaller as they are closer, while the cluster itself moves as one code does.
        """
        if not self.levels:
            return gradient / self.masses.clamp(min=least)
        total = torch.zeros_like(gradient)
        for group, closeness in self.levels:
            of_group = torch.zeros_like(gradient).index_add_(0, group, gradient)
            masses = torch.zeros_like(gradient).index_add_(0, group, self.masses)
            total += closeness * (of_group / masses.clamp(min=least))[group]
        return total

    def value(self, n: int, rng: torch.Generator, mapped: Any = starmap) -> tuple[torch.Tensor, Estimate]:
        """The `counts` of n noise points, and E F(h) + (E ‖y‖² + E ‖z‖²) / 2, the dual value."""
        each = mapped(self._valued, self.noise(n, rng))
        counted, phis = zip(*each, strict=True)
        counts, phi = sum(counted).to(self.masses), torch.cat(phis)
        psi = self.heights + self.codes.double().square().sum(1) / 2
        value, half = float(self.masses @ psi - phi.mean()), float(norm.isf(0.025)) * math.sqrt(float(phi.var()) / n)
        return counts, Estimate(value, value - half, value + half)

    def _valued(self, noise: torch.Tensor, own: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        cells = self.cell(noise, own)
        return torch.bincount(cells, minlength=len(self.masses)), self.phi(noise.double() + self.shift, cells)

    def fingerprint(self, start: torch.Tensor) -> str:
        """What tells a fit to this problem from this start from all others."""
        digest = hashlib.sha256(repr((self.prior, self.seed)).encode())
        for values in (self.codes, self.masses, start):
            digest.update(values.cpu().numpy().tobytes())
        return digest.hexdigest()


def interval_heights(places: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    """Heights on a line whose cells meet at t_j, where h_j + t_j s_j = h_{j+1} + t_j s_{j+1}: (N,), (N - 1,) -> (N,)

    `places` are the s_j in any order, `ends` the t_j in theirs.
    """
    ordered, order = places.sort()
    heights = torch.zeros_like(places)
    heights[order[1:]] = -(ends * ordered.diff()).cumsum(0)
    return heights
