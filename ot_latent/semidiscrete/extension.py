"""The map between its cells, after An et al. (2020): `SemiDiscreteOT.extend` says how."""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F

from ot_latent._arrays import number
from ot_latent.laguerre import TABLE, SemiDual


def extended(dual: SemiDual, points: torch.Tensor, angle: float, slope: float) -> torch.Tensor:
    """Means of the codes of neighbouring planes: (m, d) -> (m, d)"""
    result: list[torch.Tensor] = []
    (centers, _), codes = dual.cell_means, dual.codes
    for rows, near, within in neighbours(dual, points, angle):
        distance = (rows[:, None] - centers[near]).norm(dim=2)
        weight = within / distance.clamp(min=torch.finfo(distance.dtype).tiny)
        weight = weight / weight.sum(1, keepdim=True)
        moved = (weight[:, :, None] * (codes[near] - slope * centers[near])).sum(1)
        result.append(moved + slope * rows)
    return torch.cat(result).to(points.dtype)


def neighbours(dual: SemiDual, points: torch.Tensor, angle: float) -> Iterator[tuple[torch.Tensor, ...]]:
    """Points, part by part; the d + 1 highest planes there, the highest first; which are used."""
    if not 0 <= number(angle, "angle") <= math.pi:
        raise ValueError(f"angle must be between 0 and pi, got {angle!r}")
    cells, (n, d) = dual.cells, dual.codes.shape
    normals = F.normalize(F.pad(cells.codes, (0, 1), value=-1.0))
    _, known = dual.cell_means
    for rows in dual.centered(points).to(cells.planes.dtype).split(max(1, TABLE // max(n, d * d))):
        scores = rows @ cells.codes.T + cells.heights
        near = scores.topk(min(n, d + 1), dim=1).indices
        cosine = (normals[near] * normals[near[:, :1]]).sum(2)
        within = (cosine > math.cos(angle)) & known[near]
        within[:, 0] = True
        yield rows, near, within
