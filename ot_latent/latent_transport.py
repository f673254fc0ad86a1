"""AE-OT of Liu et al. (2018): a map from noise to the codes of an auto-encoder.

By their Algorithms 1 and 2 (minibatch), or by semi-discrete transport to the whole set of codes.
"""

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ot_latent._arrays import Array, Seed, choice, count, draw, number, parameter, progress
from ot_latent._loop import available
from ot_latent._storage import as_path, locked, tensors_hash
from ot_latent.brenier import Potential, Regression, exact_loss, regression_loss, transport
from ot_latent.kantorovich import solve_kantorovich
from ot_latent.priors.laws import ByValue, plain
from ot_latent.priors.multivariate import covariance_root
from ot_latent.semidiscrete import SemiDiscreteOT

# What the two methods need differs by orders of magnitude: Liu 2018 has the first, for images.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "minibatch": {"batch": 64, "iterations": 200_000, "learning_rate": 1e-4, "gradient_weight": 0.1},
    "semidiscrete": {"batch": 512, "iterations": 5_000, "learning_rate": 1e-3, "gradient_weight": 1.0},
}


class Inverse(NamedTuple):
    """What `LatentTransport.invert` found.

    Attributes
    ----------
    noise : (n, d)
    residual : (n,)
        ‖T(noise) - code‖, computed by the map itself.
    """

    noise: torch.Tensor
    residual: torch.Tensor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Inverse) and plain(self) == plain(other)

    def __ne__(self, other: object) -> bool:
        return not self == other


class LatentTransport(ByValue):
    """A map z + grad D(z) from Gaussian noise to the codes of an auto-encoder.

    The codes are shifted to mean zero and divided by one number, their root mean square coordinate,
    before the fit; the optimal map for the quadratic cost follows such a change exactly.

    Parameters
    ----------
    method : "minibatch" or "semidiscrete"
        "minibatch" is Algorithm 1 of Liu 2018: in each iteration the exact problem between a batch of
        noise and a batch of codes, solved in a thread while the network takes the step before; D fits
        its potential and the lengths of its moves by eq. (18). Its potentials are those of small
        samples, so the map is biased, however long it is fitted.
        "semidiscrete" solves the problem between the noise and all codes once (`SemiDiscreteOT`) and
        regresses D on that potential and its map at fresh noise (`exact_loss`). The bias that N codes
        leave is measured on N points of the Gaussian with their covariance, whose map is known, and
        taken off (`DebiasedSemiDiscrete`).
    batch : int
        Points of noise in an iteration, and for "minibatch" of codes; at least 2. By default 64, the
        paper's size being not stated, and 512.
    iterations : int
        By default 200,000, as in the paper, and 5,000.
    learning_rate : float
        alpha of Adam(alpha, 0.5, 0.999): by default 1e-4, as in the paper for images, and 1e-3, which
        "semidiscrete" lowers to zero along half a cosine.
    gradient_weight : float
        lambda of eq. (18), 0.1 by default as in the paper for images, and the weight of `exact_loss`,
        1 by default.
    up_to_constant : bool
        Of "minibatch": fit D to the potentials of each batch up to a constant, which is arbitrary.
        Eq. (18) as printed, ``False``, compares values: with mean(phi) = 0 in each batch it draws D
        towards (1 - 1/m) times the potential.
    tolerance : float
        Of "semidiscrete": bound of the certified mass error.
    layers, width, slope
        Of `brenier.Potential`; the defaults are the paper's for images.
    random_state : int
        Seed of the weights, the noise and the batches.
    device : torch device

    Attributes
    ----------
    potential_ : brenier.Potential
        The fitted D with the shift and scale of the codes.

    Examples
    --------
    >>> codes = np.random.default_rng(0).standard_normal((200, 2))
    >>> LatentTransport(iterations=10).fit(codes).sample(5).shape
    torch.Size([5, 2])
    """

    def __init__(
        self,
        method: str = "minibatch",
        *,
        batch: int | None = None,
        iterations: int | None = None,
        learning_rate: float | None = None,
        gradient_weight: float | None = None,
        up_to_constant: bool = True,
        tolerance: float = 0.02,
        layers: int = 6,
        width: int = 512,
        slope: float = 0.2,
        random_state: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        given = {"batch": batch, "iterations": iterations}
        given |= {"learning_rate": learning_rate, "gradient_weight": gradient_weight}
        chosen = _DEFAULTS[choice(method, "method", _DEFAULTS)] | {k: v for k, v in given.items() if v is not None}
        self.batch, self.iterations = count(chosen["batch"], "batch", 2), count(chosen["iterations"], "iterations")
        self.learning_rate = number(chosen["learning_rate"], "learning_rate", positive=True)
        self.gradient_weight = number(chosen["gradient_weight"], "gradient_weight", 0)
        self.tolerance = number(tolerance, "tolerance", positive=True)
        self.method, self.up_to_constant = method, up_to_constant
        self.layers, self.width, self.slope = count(layers, "layers"), count(width, "width"), number(slope, "slope")
        self.random_state, self.device = count(random_state, "random_state", 0), available(device)

    def __hash__(self) -> int:  # a fit changes all but these
        return hash((self.method, self.batch, self.iterations, self.random_state))

    def __repr__(self) -> str:
        return f"LatentTransport({self.method!r}, batch={self.batch}, iterations={self.iterations})"

    def fit(self, codes: Array, resume: str | Path | None = None, save_seconds: float = 60.0) -> "LatentTransport":
        """Fit D to the codes.

        Parameters
        ----------
        codes : (n, d) array-like
            Where all are equal, and where there is one, the map is exact: constant.
        resume : path, optional
            A folder for the last two states of the run, its log, and for "semidiscrete" the heights.
            A run that was killed goes on from there. One fit at a time works in it, others wait.
        save_seconds : float
            Between two states.

        Raises
        ------
        ValueError
            If codes are not finite with shape (n, d), or ``resume`` holds the states of a fit to other
            codes or with other settings.
        TypeError
            If codes are not real numbers.
        DivergenceError
            If the loss is not finite.

        Warns
        -----
        ConvergenceWarning
            For "semidiscrete", if the mass error was not certified to be below `tolerance`.
        StateWarning
            If the run goes on from a state that was computed on other hardware, or the newest one is damaged.
        """
        folder, codes = None if resume is None else as_path(resume, "resume"), _single(codes, "codes").detach().cpu()
        if codes.ndim != 2 or 0 in codes.shape or not torch.isfinite(codes).all():
            wanted = "finite in single precision with shape (n, d), not empty"
            raise ValueError(f"codes must be {wanted}; got shape {tuple(codes.shape)}")
        save_seconds = number(save_seconds, "save_seconds", 0)
        config = {"dim": codes.shape[1], "layers": self.layers, "width": self.width, "slope": self.slope}
        potential = Potential.seeded(self.random_state, **config)
        if (codes == codes[0]).all():  # the map is constant
            potential.shift.copy_(codes[0])
            potential.scale.zero_()
            self.potential_ = potential.to(self.device).eval()
            return self
        unit = 2.0 ** (math.frexp(float(codes.abs().max()))[1] - 1)  # exact, and squares do not overflow
        scaled = codes / unit
        shift = scaled.mean(0)
        scale = (scaled - shift).square().mean().sqrt()
        potential.shift.copy_(unit * shift)
        potential.scale.copy_(unit * scale)
        told = {"device", "potential_", "iterations"}
        settings = {name: value for name, value in vars(self).items() if name not in told}
        settings["codes"] = tensors_hash({"codes": codes})
        kept: dict[str, Any] = {"folder": folder, "settings": settings, "save_seconds": save_seconds}
        kept["decay"] = self.method == "semidiscrete"
        potential.to(self.device)
        with locked(folder / "fit") if folder else nullcontext():
            loss, problem = self._problem((scaled - shift) / scale, folder)
            with _denormals_flushed():
                Regression(potential, loss, self.learning_rate, self.iterations, **kept).run(problem)
        self.potential_ = potential.eval()
        return self

    def _problem(self, codes: torch.Tensor, folder: Path | None) -> tuple[Callable[..., torch.Tensor], Any]:
        """The loss of D, and what gives its arguments for each step."""
        if self.method == "minibatch":
            loss = partial(regression_loss, weight=self.gradient_weight, up_to_constant=self.up_to_constant)
            return loss, partial(minibatch_problem, codes.numpy(), self.batch, self.random_state)
        loss = partial(exact_loss, weight=self.gradient_weight)
        return loss, DebiasedSemiDiscrete(codes, self.batch, self.random_state, self.tolerance, folder)

    def transform(self, noise: Array) -> torch.Tensor:
        """The codes that noise is mapped to, Algorithm 2, step 1: (n, d) -> (n, d)."""
        noise = self._points(noise, "noise")
        return transport(self.potential_, noise)

    def invert(self, codes: Array, steps: int = 300) -> Inverse:
        """Noise that the map takes to the codes, as nearly as it can: (n, d) -> (n, d).

        It minimises the Brenier potential ‖z‖² / 2 + D(z) less z.c, whose gradient is T(z) - c, by
        steps that shrink to zero along half a cosine; the best point of each path counts. D is linear
        in pieces, so that T jumps between them: codes in a gap are missed, and ``residual`` says by how
        much. So are codes that no noise is taken to, and those where D makes no convex potential.

        With it, operations on codes are matched *through the noise*: invert, operate with
        ``prior=Gaussian()``, `transform`.

        Examples
        --------
        >>> codes = np.random.default_rng(0).standard_normal((200, 2)) + 5
        >>> latent = LatentTransport("semidiscrete", iterations=100, layers=3, width=32).fit(codes)
        >>> z = latent.sample(4)
        >>> bool((latent.invert(z).residual < 0.2).all())
        True
        """
        codes = self._points(codes, "codes").detach()
        scale = self.potential_.scale
        if not scale > 0:
            raise ValueError("the map is constant, its codes were all equal: there is nothing to invert")
        goal = (codes - self.potential_.shift) / scale
        z, noise, residual = goal, goal.clone(), torch.full_like(goal[:, 0], torch.inf)
        for step in progress(range(count(steps, "steps")), "inverse"):
            missed = (self.transform(z) - codes) / scale
            size = missed.norm(dim=1)
            better = size < residual
            noise[better], residual[better] = z[better], size[better]
            z = z - (1 + math.cos(math.pi * step / steps)) / 4 * missed
        return Inverse(noise, scale * residual)

    def sample(self, n: int, rng: Seed = 0) -> torch.Tensor:
        """New codes, n of them: (n, d)."""
        return self.transform(draw("normal", (count(n, "n", 0), self._dimension()), rng, like=torch.empty(0)))

    def _points(self, points: Array, name: str) -> torch.Tensor:
        dim, points = self._dimension(), _single(points, name).to(self.device)
        if points.ndim != 2 or points.shape[1] != dim:
            raise ValueError(f"{name} must have shape (n, {dim}), got {tuple(points.shape)}")
        return points

    def _dimension(self) -> int:
        if not hasattr(self, "potential_"):
            raise RuntimeError("this LatentTransport is not fitted yet; call fit(codes) first")
        return len(self.potential_.shift)


def _single(values: Array, name: str) -> torch.Tensor:
    """Finite real numbers in single precision."""
    values = parameter(values, name)
    return (values if isinstance(values, torch.Tensor) else torch.from_numpy(np.array(values, float))).float()


@contextmanager
def _denormals_flushed() -> Iterator[None]:
    """Numbers below 1e-38 are zero here: Adam's averages of silenced units become such, fifty times as slow."""
    before = sys.float_info.min / 2 == 0
    torch.zeros(2**17).add_(1)  # starts torch's threads: those that start in here would flush for ever
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def minibatch_problem(codes: np.ndarray, batch: int, seed: int, step: int) -> tuple[torch.Tensor, ...]:
    """The problem of a step of Algorithm 1: noise, its potential to a batch of codes, and its matched codes."""
    # each step has a seed of its own, so that a resumed run draws what the unbroken one draws
    rng = np.random.default_rng((seed, step))
    noise = rng.standard_normal((batch, codes.shape[1]), dtype=np.float32)
    target = codes[rng.integers(len(codes), size=batch)]
    dual = solve_kantorovich(noise, target)
    arrays = noise, dual.phi.astype(np.float32), target[dual.matching]
    return tuple(torch.from_numpy(array) for array in arrays)


class DebiasedSemiDiscrete(ByValue):
    """The exact potential from the noise to all codes, less the bias that N points leave.

    N codes of a law are not the law: within a cell the map stands still, so that a smooth fit to it
    moves points too little, the more so the higher the dimension. For the Gaussian with the
    covariance C of the codes this can be measured: its map is z -> A z, A the root of C, and the
    map to N points of it is on average z -> (A - B) z. B z is added to the map to the codes, and
    z.B z / 2 to its potential. For Gaussian codes this is all that is missing.
    """

    def __init__(self, codes: torch.Tensor, batch: int, seed: int, tolerance: float, resume: Path | None) -> None:
        self.batch, self.seed = batch, seed
        distinct, counts = torch.unique(codes, dim=0, return_counts=True)
        points = _normal(distinct.shape, (seed, *b"gaussian")) @ _linear_map(codes)

        def solved(points: torch.Tensor, weights: torch.Tensor | None, name: str) -> SemiDiscreteOT:
            ot = SemiDiscreteOT(tolerance=tolerance, random_state=seed)
            return ot.fit(points, weights=weights, resume=resume and resume / f"{name}.safetensors")

        self.codes = solved(distinct, counts, "codes")
        self.bias = self._bias(points, solved(points, None, "gaussian"))

    def _bias(self, points: torch.Tensor, ot: SemiDiscreteOT) -> torch.Tensor:
        """B: what the map to points of a Gaussian lacks of a linear one, (d, d), symmetric.

        Whatever its heights, T is the optimal map to its own image, in which points have the masses
        of their cells. The linear map to the Gaussian with the covariance of that image is what
        it is compared with: neither the draw of the points nor the error of the masses enters.
        """
        noise = _normal((2**16, points.shape[1]), (self.seed, *b"bias"))  # their error is far below that of N codes
        noise = noise - noise.mean(0)
        noise = noise @ torch.linalg.inv(_linear_map(noise))  # so that its covariance is exactly I
        image = ot.transport(noise)
        bias = _linear_map(image) - image.T @ noise / len(noise)
        return (bias + bias.T) / 2

    def __call__(self, step: int) -> tuple[torch.Tensor, ...]:
        """What a step fits D to: noise, the potential and the map there."""
        noise = _normal((self.batch, len(self.bias)), (self.seed, step))
        added = noise @ self.bias
        phi = self.codes.potential(noise) + (added * noise).sum(1) / 2
        return noise, phi, self.codes.transport(noise) + added


def _normal(shape: tuple[int, ...], seed: tuple[int, ...]) -> torch.Tensor:
    """Standard normal noise; every purpose and step has a seed of its own."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))


def _linear_map(points: torch.Tensor) -> torch.Tensor:
    """The root of their covariance, which maps standard normal noise to a Gaussian with it: (d, d)"""
    covariance = np.atleast_2d(np.cov(points.double().numpy(), rowvar=False))
    return torch.from_numpy(covariance_root(covariance)).float()
