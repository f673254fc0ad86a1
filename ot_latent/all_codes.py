"""The exact potential from Gaussian noise to all codes, and what N codes leave of error in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ot_latent.semidiscrete import SemiDiscreteOT


class AllCodes:
    """The exact potential from the noise to all codes, less the error that N points leave.

    N codes of a law are not the law: their cells are as wide as they are far apart, and within a cell
    the map stands still, so that a smooth fit to it moves points too little, the more so the higher
    the dimension. For the Gaussian law with the mean and covariance of the codes the error is known:
    its map is z -> A z, A the root of the covariance. The map to N points of *that* law, minus A z,
    is taken off the map to the codes, and likewise the potentials. For Gaussian codes nothing is left
    of the error on average.
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
        self.linear = _root(torch.cov(codes.double().T).reshape([codes.shape[1]] * 2)).float()
        rng = np.random.default_rng((seed, *b"gaussian"))
        normal = torch.from_numpy(rng.standard_normal(distinct.shape, dtype=np.float32))

        def solved(points: torch.Tensor, weights: torch.Tensor | None, name: str) -> SemiDiscreteOT:
            state = resume and resume.with_name(f"{resume.name}.{name}")
            ot = SemiDiscreteOT(tolerance=tolerance, random_state=seed)
            return ot.fit(points, weights=weights, resume=state)

        self.codes = solved(distinct, counts, "codes")
        self.gaussian = solved(normal @ self.linear, None, "gaussian")

    def __call__(self, step: int) -> tuple[torch.Tensor, ...]:
        """Noise, the potential and the map there."""
        rng = np.random.default_rng((self.seed, step))
        shape = self.batch, len(self.linear)
        noise = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
        straight = noise @ self.linear
        phi = ((straight - noise) * noise).sum(1) / 2
        phi += self.codes.potential(noise) - self.gaussian.potential(noise)
        moved = straight + self.codes.transport(noise) - self.gaussian.transport(noise)
        return noise, phi, moved


def _root(covariance: torch.Tensor) -> torch.Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=0).sqrt() @ vectors.T
