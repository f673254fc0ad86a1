"""The exact map from a prior to N codes, and the coupling of both that it is."""

import warnings
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from array_api_compat import is_torch_array

from ot_latent._arrays import Array, Seed, as_floating, count, draw, generator, number, parameter
from ot_latent._loop import over
from ot_latent._storage import as_path, locked, tidy
from ot_latent.laguerre import TABLE, Ascent, Estimate, SemiDual, estimate_mass_error
from ot_latent.priors.gaussian import Gaussian
from ot_latent.priors.laws import ByValue
from ot_latent.priors.product import as_prior
from ot_latent.semidiscrete import planes


class ConvergenceWarning(UserWarning):
    """The steps ended before the mass error was certified to be below the tolerance."""


class SemiDiscreteOT(ByValue):
    """The optimal map from a prior to N codes: each code gets the noise of one Laguerre cell.

    The semi-dual is climbed with stochastic steps, whose heights are averaged (`laguerre.Ascent`).
    The fit ends when the masses of the cells are certified on fresh noise.

    Codes on a line (d = 1, too) have an exact answer, by quantiles of the prior along it: error 0 and no
    steps, for all priors but those that can only be sampled and, in d > 1, `Radial` ones but spheres.

    Codes are shifted to mean zero and divided by their root mean square coordinate within. Cells
    are found in single precision, or double where codes lie in tight clusters; heights are kept in
    double. Codes that together have less than a twentieth of the tolerance, and each less mass than one
    noise point of the certificate, get cells that no noise is expected to hit.

    Parameters
    ----------
    tolerance : float
        Bound of the chi^2 mass error, see `laguerre.estimate_mass_error`. The fit has converged
        when the upper end of an interval on fresh noise is below it. Interval k errs on this side
        with probability 0.025 / 2^(k-1), all of them together with at most 0.05. It takes about
        1.5 N / tolerance noise points in ten dimensions, many more in one or two.
    max_steps : int
        Steps, each with a batch of max(256, N / 4) noise points, after which the fit gives up with
        a `ConvergenceWarning`. Where there are more than 64 independent coordinates, each batch is
        used eight-fold (`laguerre.Cells.crossed`).
    random_state : int
        Seed of the noise.

    Attributes
    ----------
    heights : (N,)
        h_j, with sum_j b_j h_j = 0.
    cost : Estimate
        The semi-dual value, a lower bound of W_2^2 / 2 that is tight at error 0.
    error : Estimate
        The mass error on fresh noise that ended the fit.
    converged : bool
    steps : int

    Examples
    --------
    >>> import numpy as np
    >>> ot = SemiDiscreteOT(tolerance=0.01).fit(np.array([[-1.0], [3.0], [10.0]]))
    >>> ot.transport(np.array([[-5.0], [0.1], [5.0]])).ravel()
    array([-1.,  3., 10.])
    >>> ot.converged, ot.error.high < 0.01
    (True, True)

    References
    ----------
    An et al., "AE-OT: a new generative model based on extended semi-discrete optimal transport",
    ICLR 2020. Liu et al. (2018), section 3.
    """

    def __init__(self, *, tolerance: float = 0.02, max_steps: int = 20_000, random_state: int = 0) -> None:
        self.tolerance, self.max_steps = number(tolerance, "tolerance", positive=True), count(max_steps, "max_steps")
        self.random_state = count(random_state, "random_state", 0)

    def __hash__(self) -> int:  # a fit changes all but these
        return hash((self.tolerance, self.max_steps, self.random_state))

    def __repr__(self) -> str:
        return f"SemiDiscreteOT(tolerance={self.tolerance}, max_steps={self.max_steps})"

    def fit(
        self,
        codes: Array,
        prior: Any = None,
        weights: Array = None,
        heights: Array = None,
        resume: str | Path | None = None,
        save_seconds: float = 30.0,
        executor: Executor | None = None,
    ) -> "SemiDiscreteOT":
        """Maximise the semi-dual until the masses of the cells are certified.

        Parameters
        ----------
        codes : (N, d) array-like
            Points; equal ones share a cell, which has the mass of all of them. Everything is computed on
            their device.
        prior : law with ``sample``, optional
            Standard `Gaussian` by default. One that makes its points of these codes may have ``sample_with_own``,
            too, which also gives the indices, (m, k), of those that each point is made of, and does not go to.
        weights : (N,) array-like, optional
            Positive masses, scaled to sum 1; equal by default.
        heights : (N,) array-like, optional
            Where to start, such as the heights of a fit to similar codes; by default those of the
            linear map that matches mean and covariance.
        resume : path, optional
            A file that keeps the state of the run. When it exists, the run goes on from there.
        save_seconds : float
            Between two states.
        executor : Executor, optional
            Counts the noise of the certificates, as in `mass_error`; steps follow each other and stay here.

        Raises
        ------
        ValueError
            If codes are not finite and of shape (N, d), if weights or heights do not fit them, or
            ``resume`` belongs to another fit.
        TypeError
            If codes, weights or heights are not real numbers.

        Warns
        -----
        ConvergenceWarning
            If `max_steps` ended the fit, or a weight is so small that no reasonable number of noise points
            could certify its cell; ``converged`` is then False.
        StateWarning
            If ``resume`` could not be written, as on a full disk. The fit goes on.
        """
        points, save_seconds = planes.checked_codes(codes), number(save_seconds, "save_seconds", 0)
        kept = None if resume is None else as_path(resume, "resume")
        masses = planes.one_for_each(np.ones(len(points)) if weights is None else weights, points, "weights")
        heights = None if heights is None else planes.one_for_each(heights, points, "heights")
        masses = masses / masses.max() / (masses / masses.max()).sum()
        if not (masses > 0).all():
            raise ValueError("weights must be positive; leave out codes that get no mass")
        prior = Gaussian() if prior is None else prior
        if not hasattr(prior, "sample") or isinstance(prior, type | torch.distributions.Distribution):
            prior = as_prior(prior)
        index, first = planes.first_equal(points)
        of_cells = torch.zeros_like(masses[first]).index_add_(0, index, masses)
        share = masses / of_cells[index]
        dual = SemiDual(points[first], of_cells, prior, self.random_state, index if len(first) < len(index) else None)
        cost, error, steps, remedy = dual.solve_on_a_line(), Estimate(0.0, 0.0, 0.0), 0, ""
        if cost is None:
            start = dual.linear_start() if heights is None else dual.scaled_heights(heights[first])
            ascent = Ascent(dual, self.tolerance, self.max_steps, over(executor))
            remedy = ascent.remedy
            with locked(kept) if kept else nullcontext():
                if kept:
                    tidy(kept)
                steps = ascent.climb(start, kept, save_seconds)
            cost, error = ascent.cost, ascent.error
        self._dual, self._index, self._first, self._share = dual, index, first, share
        self._numpy = not is_torch_array(codes)
        self.cost, self.error, self.steps, self.converged = cost, error, steps, error.high <= self.tolerance
        if not self.converged:
            told = f"the mass error is {error.value:.3g} ({error.low:.3g} to {error.high:.3g}) after {steps} steps"
            told += f", not certified to be below {self.tolerance}: {remedy}"
            warnings.warn(told, ConvergenceWarning, stacklevel=2)
        return self

    @property
    def heights(self) -> Array:
        """The heights h_j of the caller's codes: (N,)"""
        self._require_fit()
        heights = self._dual.heights[self._index]
        return heights.cpu().numpy() if self._numpy else heights

    def mass_error(
        self, n: int, rng: Seed = None, temperature: float = 0.0, executor: Executor | None = None
    ) -> Estimate:
        """The chi^2 mass error of the cells from n >= 3 fresh noise points, without bias.

        See `laguerre.estimate_mass_error`.

        Parameters
        ----------
        n : int
        rng : None, int or torch.Generator
        temperature : float
            Of codes drawn by `assignment`, whose masses are those of the codes at temperature 0 only.
        executor : concurrent.futures.Executor, optional
            Counts batches of noise at temperature 0, such as the ``get_executor()`` of a client of dask.distributed,
            with the bits of one process of as many threads. A batch travels with the codes, of which it is a quarter.
        """
        self._require_fit()
        n, rng = count(n, "n", 3), generator(rng, self._dual.codes)
        return estimate_mass_error(planes.counted(self._dual, n, rng, temperature, executor), self._dual.masses)

    def cell(self, z: Array) -> Array:
        """Index of the code that each point goes to, the first of equal ones: (m, d) -> (m,)

        Points go through in batches: beside the result, memory does not grow with their number, and those of a
        memory-mapped file or of another device are fetched batch by batch.
        """
        return _returned(torch.cat([self._first[planes.cells_of(self._dual, part)] for part in self._parts(z)]), z)

    def transport(self, z: Array) -> Array:
        """The map T(z) = grad u(z), a code for each point: (m, d) -> (m, d)"""
        moved = [self._dual.codes[planes.cells_of(self._dual, part)].to(part.dtype) for part in self._parts(z)]
        return _returned(torch.cat(moved), z)

    def pair(self, n: int, rng: Seed = None, temperature: float = 0.0) -> tuple[Array, Array]:
        """Draws of the optimal coupling: noise, and the indices of the codes that it goes to.

        It is what flow matching asks for: lines from noise to its code do not cross on the way. A draw costs one
        look for the highest plane; couplings within minibatches solve a problem for each, and stay biased.

        Parameters
        ----------
        n : int
        rng : None, int, numpy Generator or torch Generator
        temperature : float
            0 for the exact map, above it a draw of `assignment` for each noise point.

        Returns
        -------
        noise : (n, d)
            Of the prior, as the kind of array that codes came as.
        index : (n,)
            Of the caller's codes, each as often as its weight says, up to the certified `error`; of equal ones by
            chance.

        Examples
        --------
        >>> codes = np.array([[-1.0, 0.0], [2.0, 0.0], [2.0, 0.0]])
        >>> noise, index = SemiDiscreteOT().fit(codes).pair(3_000, rng=0)
        >>> noise.shape, bool((noise[index == 0, 0] < noise[index > 0, 0].min()).all())
        ((3000, 2), True)
        >>> (np.bincount(index) / 3_000).round(1)
        array([0.3, 0.3, 0.3])

        References
        ----------
        Pooladian et al. (2023), Multisample flow matching; Tong et al. (2024), Improving and generalizing
        flow-based generative models with minibatch optimal transport; Mousavi-Hosseini et al. (2025), Flow matching
        with semidiscrete couplings.
        """
        self._require_fit()
        count(n, "n")
        rng = generator(rng, self._dual.codes)
        noise, cells = (torch.cat(parts) for parts in zip(*planes.drawn(self._dual, n, rng, temperature), strict=True))
        index = self._first[cells]
        if len(self._first) < len(self._index):
            index = planes.among_equal(self._index, self._share, cells, draw("uniform", n, rng, like=self._share))
        return (noise.cpu().numpy(), index.cpu().numpy()) if self._numpy else (noise, index)

    def assignment(self, z: Array, temperature: float) -> Array:
        """Chances of the codes for each point, an entropic blur of `cell`: (m, d) -> (m, N)

        With masses b_j, P(j | z) is proportional to b_j exp((z.y_j + h_j) / temperature): the law that entropic
        transport has for its own heights. Ours are those of temperature 0, of which no more is certified than that
        small temperatures change the masses little: ask `mass_error`. Differentiable in z, for torch; its mean of the
        codes, ``assignment(z, temperature) @ codes``, is a map without jumps.

        Parameters
        ----------
        z : (m, d) array
        temperature : float
            In units of the cost, squared coordinates; the cost of the exact map, `cost`, is a scale for it.
        """
        points = self._points(z)
        of_codes = planes.chances(self._dual, points, temperature)[:, self._index] * self._share
        return _returned(of_codes.to(points.dtype), z)

    def potential(self, z: Array) -> Array:
        """The potential D(z) = u(z) - ‖z‖² / 2, with gradient T(z) - z for torch: (m, d) -> (m,)"""
        points = self._points(z)
        phi = self._dual.phi(points, planes.cells_of(self._dual, points))
        if not torch.isfinite(phi).all():
            far = float(points.detach().abs().max())
            raise ValueError(f"z must be so close to 0 that {phi.dtype} holds ‖z‖² and the potential, got {far:g}")
        return _returned(phi, z)

    def extend(self, z: Array, angle: float = 0.7, slope: float | Array = 0.0) -> Array:
        """The map made continuous within regions, after An et al. (2020): (m, d) -> (m, d)

        A point gets the mean of the codes of the d + 1 highest planes, with weights
        1 / ‖z - c_j‖ where c_j is the mean of the noise in cell j: c_j itself goes to code j.
        Where the normals (y_j, -1) and (y_i, -1) of a plane and the highest one make an angle
        above the threshold, grad u jumps: the singular set runs between the cells, and code j is
        left out. A point that has no other neighbour keeps its own code.

        The authors' program takes codes as they come, ours are scaled, and throws a point away when a neighbour
        is beyond the angle (`singular`): images lose the masses of the codes.

        Parameters
        ----------
        z : (m, d)
        angle : float
            The threshold in radians; 0 leaves the code of the highest plane alone. Which is right depends on the
            codes: the authors take 0.7 for faces, 0.4 for eight Gaussians, 0.2 for 25, 0.09 for a swiss roll.
        slope : float, or array for several at once, (..., m, d)
            Ours: a > 0 is a mean of y_j + a (z - c_j) instead of codes y_j. Means of several codes lie closer
            together than the codes do; this gives back the spread, and with angle 0 it makes of stored codes new
            ones, see `codes.Codes`. With angle and slope 0 the map is `transport`.
        """
        points, slopes = self._points(z), torch.as_tensor(parameter(slope, "slope"))
        means, apart = planes.extended(self._dual, points, angle)
        return _returned(means + slopes.to(means)[..., None, None] * apart, z)

    def singular(self, z: Array, angle: float = 0.7) -> Array:
        """Which points have a neighbour beyond the angle of `extend`: (m, d) -> (m,) bool"""
        parts = planes.neighbours(self._dual, self._points(z), angle, self._dual.codes.shape[1] + 1)
        return _returned(torch.cat([~within.all(1) for _, _, within in parts]), z)

    def _require_fit(self) -> None:
        if not hasattr(self, "_dual"):
            raise RuntimeError("this SemiDiscreteOT is not fitted yet; call fit(codes) first")

    def _points(self, z: Array) -> torch.Tensor:
        return torch.cat(list(self._parts(z)))

    def _parts(self, z: Array) -> Iterator[torch.Tensor]:
        """The points, checked, a batch at a time on the device of the codes."""
        self._require_fit()
        z, d = as_floating(z, "z"), self._dual.codes.shape[1]
        if z.ndim != 2 or z.shape[1] != d:
            raise ValueError(f"z must have shape (points, {d}), got {tuple(z.shape)}")
        size = max(1, TABLE // d)
        for first in range(0, max(1, len(z)), size):
            rows = z[first : first + size]
            part = (rows if is_torch_array(rows) else torch.tensor(rows)).to(self._dual.codes.device)
            if not torch.isfinite(part).all():
                raise ValueError("z holds NaN or infinite values")
            yield part


def _returned(result: torch.Tensor, z: Array) -> Array:
    """`result` as the kind of array, and on the device, that the points `z` came as."""
    return result.to(z.device) if is_torch_array(z) else result.cpu().numpy()
