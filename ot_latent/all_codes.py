"""The exact potential from Gaussian noise to all codes, and what N codes leave of error in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ot_latent._roots import covariance_root
from ot_latent.semidiscrete import SemiDiscreteOT

_BIAS_POINTS = 2**16  # of noise, on which B is measured


class AllCodes:
    """The exact potential from the noise to all codes, less the bias that N points leave.

    N codes of a law are not the law: within a cell the map stands still, so that a smooth fit to it
    moves points too little, the more so the higher the dimension. For the Gaussian with the
    covariance C of the codes this can be measured: its map is z -> A z, A the root of C, and the
    map to N points of it is on average z -> (A - B) z. B z is added to the map to the codes, and
    z.B z / 2 to its potential. For Gaussian codes this is all that is missing.
    """

    def __init__(
        self,
        codes: torch.Tensor,
        batch: int,
        seed: int,
        tolerance: float,
        resume: Path | None,
    ) -> None:
        self.batch, self.seed = batch, seed
        distinct, counts = torch.unique(codes, dim=0, return_counts=True)
        rng = np.random.default_rng((seed, *b"gaussian"))
        normal = torch.from_numpy(rng.standard_normal(distinct.shape, dtype=np.float32))
        points = normal @ _linear_map(codes)

        def solved(points: torch.Tensor, weights: torch.Tensor | None, name: str) -> SemiDiscreteOT:
            state = resume and resume / f"{name}.safetensors"
            ot = SemiDiscreteOT(tolerance=tolerance, random_state=seed)
            return ot.fit(points, weights=weights, resume=state)

        self.codes = solved(distinct, counts, "codes")
        self.bias = self._bias(points, solved(points, None, "gaussian"))

    def _bias(self, points: torch.Tensor, ot: SemiDiscreteOT) -> torch.Tensor:
        """B: what the map to points of a Gaussian lacks of a linear one, (d, d), symmetric.

        Whatever its heights, T is the optimal map to its own image, in which points have the masses
        of their cells. The linear map to the Gaussian with the covariance of that image is what
        it is compared with: neither the draw of the points nor the error of the masses enters.
        """
        rng = np.random.default_rng((self.seed, *b"bias"))
        shape = _BIAS_POINTS, points.shape[1]
        noise = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
        noise = noise - noise.mean(0)
        noise = noise @ torch.linalg.inv(_linear_map(noise))  # so that its covariance is exactly I
        image = ot.transport(noise)
        bias = _linear_map(image) - image.T @ noise / len(noise)
        return (bias + bias.T) / 2

    def __call__(self, step: int) -> tuple[torch.Tensor, ...]:
        """Noise, the potential and the map there."""
        rng = np.random.default_rng((self.seed, step))
        shape = self.batch, len(self.bias)
        noise = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
        added = noise @ self.bias
        phi = self.codes.potential(noise) + (added * noise).sum(1) / 2
        return noise, phi, self.codes.transport(noise) + added


def _linear_map(points: torch.Tensor) -> torch.Tensor:
    """The root of their covariance, which maps standard normal noise to a Gaussian with it: (d, d)"""
    covariance = np.atleast_2d(np.cov(points.double().numpy(), rowvar=False))
    return torch.from_numpy(covariance_root(covariance)).float()
