"""Semi-discrete optimal transport, exact from a prior to N codes: An et al. (2020), Liu 2018 section 3.

The cost is ‖z - y‖² / 2. Heights h_j make the Brenier potential, the upper envelope of N planes,

    u(z) = max_j  z.y_j + h_j,        T(z) = grad u(z) = y_j  on the cell where plane j is highest,

and T carries the prior to the codes when each cell holds its mass b_j. In the terms of
`kantorovich`, psi_j = h_j + ‖y_j‖² / 2 belongs to the codes and D = phi to the noise:

    D(z) = max_j  psi_j - ‖z - y_j‖² / 2 = u(z) - ‖z‖² / 2,        T(z) = z + grad D(z).

Heights are determined up to a constant; here sum_j b_j h_j = 0. They maximise the semi-dual

    F(h) = sum_j b_j h_j - E u(z),        dF/dh_j = b_j - p_j,        p_j = P(z in cell j).
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from array_api_compat import is_torch_array

from ot_latent._arrays import Array, as_floating, count, generator, number, parameter
from ot_latent._storage import as_path, locked, tidy
from ot_latent.laguerre import TABLE, Ascent, Estimate, SemiDual, estimate_mass_error
from ot_latent.priors.gaussian import Gaussian
from ot_latent.priors.laws import ByValue
from ot_latent.priors.product import as_prior

_LARGEST = 1e150  # coordinate of a code: its square is a number
_FAR = 1e15  # coordinates of points that need double precision


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
    ) -> "SemiDiscreteOT":
        """Maximise the semi-dual until the masses of the cells are certified.

        Parameters
        ----------
        codes : (N, d) array-like
            Points; equal ones share a cell, which has the mass of all of them. Everything is computed on
            their device.
        prior : law with ``sample``, optional
            Standard `Gaussian` by default.
        weights : (N,) array-like, optional
            Positive masses, scaled to sum 1; equal by default.
        heights : (N,) array-like, optional
            Where to start, such as the heights of a fit to similar codes; by default those of the
            linear map that matches mean and covariance.
        resume : path, optional
            A file that keeps the state of the run. When it exists, the run goes on from there.
        save_seconds : float
            Between two states.

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
        points, save_seconds = _checked_codes(codes), number(save_seconds, "save_seconds", 0)
        kept = None if resume is None else as_path(resume, "resume")
        masses = _vector(np.ones(len(points)) if weights is None else weights, points, "weights")
        heights = None if heights is None else _vector(heights, points, "heights")
        masses = masses / masses.max() / (masses / masses.max()).sum()
        if not (masses > 0).all():
            raise ValueError("weights must be positive; leave out codes that get no mass")
        prior = Gaussian() if prior is None else prior
        if not hasattr(prior, "sample") or isinstance(prior, type | torch.distributions.Distribution):
            prior = as_prior(prior)
        index, first = _first_equal(points)
        masses = torch.zeros_like(masses[first]).index_add_(0, index, masses)
        dual = SemiDual(points[first], masses, prior, self.random_state)
        cost, error, steps, remedy = dual.solve_on_a_line(), Estimate(0.0, 0.0, 0.0), 0, ""
        if cost is None:
            start = dual.linear_start() if heights is None else dual.scaled_heights(heights[first])
            ascent = Ascent(dual, self.tolerance, self.max_steps)
            remedy = ascent.remedy
            with locked(kept) if kept else nullcontext():
                if kept:
                    tidy(kept)
                steps = ascent.climb(start, kept, save_seconds)
            cost, error = ascent.cost, ascent.error
        self._dual, self._index, self._first = dual, index, first
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

    def mass_error(self, n: int, rng: int | torch.Generator | None = None) -> Estimate:
        """The chi^2 mass error of the cells from n >= 3 fresh noise points, without bias.

        Parameters
        ----------
        n : int
        rng : None, int or torch.Generator

        Returns
        -------
        Estimate
            See `laguerre.estimate_mass_error`.
        """
        self._require_fit()
        dual = self._dual
        return estimate_mass_error(dual.counts(count(n, "n", 3), generator(rng, dual.codes)), dual.masses)

    def cell(self, z: Array) -> Array:
        """Index of the code that each point goes to, the first of equal ones: (m, d) -> (m,)"""
        return _returned(self._first[self._cell(self._points(z))], z)

    def transport(self, z: Array) -> Array:
        """The map T(z) = grad u(z), a code for each point: (m, d) -> (m, d)"""
        points = self._points(z)
        return _returned(self._dual.codes[self._cell(points)].to(points.dtype), z)

    def potential(self, z: Array) -> Array:
        """The potential D(z) = u(z) - ‖z‖² / 2, with gradient T(z) - z for torch: (m, d) -> (m,)"""
        points = self._points(z)
        phi = self._dual.phi(points, self._cell(points))
        if not torch.isfinite(phi).all():
            far = float(points.detach().abs().max())
            raise ValueError(f"z must be so close to 0 that {phi.dtype} holds ‖z‖² and the potential, got {far:g}")
        return _returned(phi, z)

    def extend(self, z: Array, angle: float = 0.7, slope: float = 0.0) -> Array:
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
            The threshold in radians; 0 gives `transport`. Which is right depends on the codes: the
            authors take 0.7 for faces, 0.4 for eight Gaussians, 0.2 for 25, 0.09 for a swiss roll.
        slope : float
            Ours: a > 0 is a mean of y_j + a (z - c_j) instead of codes y_j. Means of several codes lie closer
            together than the codes do; this gives back the spread, see `codes.Codes`.
        """
        points, slope, result = self._points(z), number(slope, "slope"), []
        (centers, _), codes = self._dual.cell_means, self._dual.codes
        for rows, near, within in self._neighbours(points, angle):
            distance = (rows[:, None] - centers[near]).norm(dim=2)
            weight = within / distance.clamp(min=torch.finfo(distance.dtype).tiny)
            weight = weight / weight.sum(1, keepdim=True)
            moved = (weight[:, :, None] * (codes[near] - slope * centers[near])).sum(1)
            result.append(moved + slope * rows)
        return _returned(torch.cat(result).to(points.dtype), z)

    def singular(self, z: Array, angle: float = 0.7) -> Array:
        """Which points have a neighbour beyond the angle of `extend`: (m, d) -> (m,) bool"""
        points = self._points(z)
        parts = self._neighbours(points, angle)
        return _returned(torch.cat([~within.all(1) for _, _, within in parts]), z)

    def _neighbours(self, points: torch.Tensor, angle: float) -> Iterator[tuple[torch.Tensor, ...]]:
        """Points, part by part; the d + 1 highest planes there, the highest first; which are used."""
        if not 0 <= number(angle, "angle") <= math.pi:
            raise ValueError(f"angle must be between 0 and pi, got {angle!r}")
        cells, (n, d) = self._dual.cells, self._dual.codes.shape
        normals = F.normalize(F.pad(cells.codes, (0, 1), value=-1.0))
        _, known = self._dual.cell_means
        for rows in self._dual.centered(points).to(cells.planes.dtype).split(max(1, TABLE // max(n, d * d))):
            scores = rows @ cells.codes.T + cells.heights
            near = scores.topk(min(n, d + 1), dim=1).indices
            cosine = (normals[near] * normals[near[:, :1]]).sum(2)
            within = (cosine > math.cos(angle)) & known[near]
            within[:, 0] = True
            yield rows, near, within

    def _cell(self, points: torch.Tensor) -> torch.Tensor:
        dual, points = self._dual, self._dual.centered(points.detach())
        cells, far = dual.cell(points), points.abs().amax(1) > _FAR
        if dual.line is None and far.any():  # beyond what single precision holds
            lifted = F.pad(points[far].double(), (0, 1), value=1.0)
            rows = (lifted / lifted.abs().amax(1, keepdim=True)).split(max(1, TABLE // dual.cells.n))
            planes = dual.cells.planes[: dual.cells.n].double().T
            cells[far] = torch.cat([(part @ planes).argmax(1) for part in rows])
        return cells

    def _require_fit(self) -> None:
        if not hasattr(self, "_dual"):
            raise RuntimeError("this SemiDiscreteOT is not fitted yet; call fit(codes) first")

    def _points(self, z: Array) -> torch.Tensor:
        self._require_fit()
        points = torch.as_tensor(as_floating(z, "z"), device=self._dual.codes.device)
        d = self._dual.codes.shape[1]
        if points.ndim != 2 or points.shape[1] != d:
            raise ValueError(f"z must have shape (points, {d}), got {tuple(points.shape)}")
        if not torch.isfinite(points).all():
            raise ValueError("z holds NaN or infinite values")
        return points


def _returned(result: torch.Tensor, z: Array) -> Array:
    """`result` as the kind of array, and on the device, that the points `z` came as."""
    return result.to(z.device) if is_torch_array(z) else result.cpu().numpy()


def _checked_codes(values: Array) -> torch.Tensor:
    codes = torch.as_tensor(parameter(values, "codes")).detach()
    if codes.ndim != 2 or 0 in codes.shape:
        raise ValueError(f"codes must have shape (N, d), N and d at least 1, got {tuple(codes.shape)}")
    size = float(codes.abs().max())
    if size > _LARGEST:
        raise ValueError(f"codes must not exceed {_LARGEST:g}, got {size:g}: divide them by a number")
    return codes if 1e-15 < size < 1e15 else codes.double()  # squares may leave single precision


def _first_equal(codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Which of the distinct codes each code is, (N,), and where these come first, in order."""
    distinct, index = torch.unique(codes, dim=0, return_inverse=True)
    places = torch.arange(len(codes), device=codes.device)
    first = torch.full_like(places[: len(distinct)], len(codes)).scatter_reduce_(0, index, places, "amin")
    order = first.argsort()
    return order.argsort()[index], first[order]


def _vector(values: Array, codes: torch.Tensor, name: str) -> torch.Tensor:
    """One finite number for each code, in double precision."""
    vector = torch.as_tensor(parameter(values, name), dtype=torch.float64, device=codes.device).detach()
    if vector.shape != (len(codes),):
        raise ValueError(f"{name} must have shape ({len(codes)},), got {tuple(vector.shape)}")
    return vector
