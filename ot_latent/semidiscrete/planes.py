"""Codes and points, checked; cells of points, chances at a temperature, draws of both, means of neighbouring codes."""

import math
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any

import torch
import torch.nn.functional as F

from ot_latent._arrays import Array, draw, number, parameter
from ot_latent._loop import over
from ot_latent.laguerre import TABLE, SemiDual

_LARGEST = 1e150  # coordinate of a code: its square is a number
_FAR = 1e15  # coordinates of points that need double precision


def checked_codes(values: Array) -> torch.Tensor:
    """Codes as a finite tensor (N, d), in double precision where single would not hold their squares."""
    codes = torch.as_tensor(parameter(values, "codes")).detach()
    if codes.ndim != 2 or 0 in codes.shape:
        raise ValueError(f"codes must have shape (N, d), N and d at least 1, got {tuple(codes.shape)}")
    size = float(codes.abs().max())
    if size > _LARGEST:
        raise ValueError(f"codes must not exceed {_LARGEST:g}, got {size:g}: divide them by a number")
    return codes if 1e-15 < size < 1e15 else codes.double()  # squares may leave single precision


def first_equal(codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Which of the distinct codes each code is, (N,), and where these come first, in order."""
    distinct, index = torch.unique(codes, dim=0, return_inverse=True)
    places = torch.arange(len(codes), device=codes.device)
    first = torch.full_like(places[: len(distinct)], len(codes)).scatter_reduce_(0, index, places, "amin")
    order = first.argsort()
    return order.argsort()[index], first[order]


def one_for_each(values: Array, codes: torch.Tensor, name: str) -> torch.Tensor:
    """One finite number for each code, in double precision."""
    vector = torch.as_tensor(parameter(values, name), dtype=torch.float64, device=codes.device).detach()
    if vector.shape != (len(codes),):
        raise ValueError(f"{name} must have shape ({len(codes)},), got {tuple(vector.shape)}")
    return vector


def cells_of(dual: SemiDual, points: torch.Tensor, own: torch.Tensor | None = None) -> torch.Tensor:
    """The cell of each point, its `own` ones apart: (m, d), (m, k) -> (m,)"""
    points = dual.centered(points.detach())
    own = points.new_empty((len(points), 0), dtype=torch.long) if own is None else own
    cells, far = dual.cell(points, own), points.abs().amax(1) > _FAR
    if dual.line is None and far.any():  # beyond what single precision holds
        lifted = F.pad(points[far].double(), (0, 1), value=1.0)
        size, planes = max(1, TABLE // dual.cells.n), dual.cells.planes[: dual.cells.n].double().T
        each = zip((lifted / lifted.abs().amax(1, keepdim=True)).split(size), own[far].split(size), strict=True)
        cells[far] = torch.cat([(rows @ planes).scatter_(1, apart, -math.inf).argmax(1) for rows, apart in each])
    return cells


def chances(dual: SemiDual, points: torch.Tensor, temperature: float, own: torch.Tensor | None = None) -> torch.Tensor:
    """Of the cells, softly, in double precision: (m, d) -> (m, cells)"""
    number(temperature, "temperature", positive=True)
    planes = dual.centered(points).double() @ dual.cells.codes.double().T + dual.cells.heights
    planes = planes if own is None else planes.scatter(1, own, -math.inf)
    return (planes * (dual.scale / temperature) + dual.masses.log()).softmax(1)


def drawn(dual: SemiDual, n: int, rng: Any, temperature: float) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Noise and its cells, n in all, a batch at a time; of chance at a temperature above 0."""
    cells, d, temperature = dual.cells.n, dual.codes.shape[1], number(temperature, "temperature", 0)
    size = max(1, TABLE // (cells if temperature else d))
    for first in range(0, n, size):
        noise, own = dual.drawn(min(size, n - first), rng, dual.codes)
        if not temperature:
            yield noise, cells_of(dual, noise, own)
            continue
        sums = chances(dual, noise, temperature, own).cumsum(1)
        level = draw("uniform", (len(noise), 1), rng, like=sums) * sums[:, -1:]
        yield noise, torch.searchsorted(sums, level)[:, 0].clamp(max=cells - 1)


def counted(dual: SemiDual, n: int, rng: Any, temperature: float, executor: Executor | None) -> torch.Tensor:
    """Noise points in each cell, n in all, of chance at a temperature above 0: (N,)"""
    if number(temperature, "temperature", 0):
        return sum(torch.bincount(cells, minlength=dual.cells.n) for _, cells in drawn(dual, n, rng, temperature))
    return dual.counts(n, rng, over(executor))


def among_equal(
    cell_of_code: torch.Tensor, share: torch.Tensor, cells: torch.Tensor, level: torch.Tensor
) -> torch.Tensor:
    """A code of each cell, with chances by its share of the cell; `level` is uniform on (0, 1)."""
    order = cell_of_code.argsort(stable=True)
    ends = share[order].cumsum(0)  # of each cell: 1
    return order[torch.searchsorted(ends, cells + level).clamp(max=len(order) - 1)]


def extended(dual: SemiDual, points: torch.Tensor, angle: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Means of the codes of neighbouring planes, and how far points are from those of their cells: (m, d), twice."""
    found: list[tuple[torch.Tensor, torch.Tensor]] = []
    (centers, _), codes = dual.cell_means, dual.codes
    for rows, near, within in neighbours(dual, points, angle, dual.codes.shape[1] + 1 if angle else 1):
        of_cells = centers[near]
        distance = (rows[:, None] - of_cells).norm(dim=2)
        weight = within / distance.clamp(min=torch.finfo(distance.dtype).tiny)
        weight = (weight / weight.sum(1, keepdim=True))[:, :, None]
        found.append(((weight * codes[near]).sum(1), rows - (weight * of_cells).sum(1)))
    means, apart = (torch.cat(parts).to(points.dtype) for parts in zip(*found, strict=True))
    return means, apart


def neighbours(dual: SemiDual, points: torch.Tensor, angle: float, most: int) -> Iterator[tuple[torch.Tensor, ...]]:
    """Points, part by part; the `most` highest planes there, the highest first; which are used."""
    if not 0 <= number(angle, "angle") <= math.pi:
        raise ValueError(f"angle must be between 0 and pi, got {angle!r}")
    cells, (n, d) = dual.cells, dual.codes.shape
    normals = F.normalize(F.pad(cells.codes, (0, 1), value=-1.0))
    _, known = dual.cell_means
    for rows in dual.centered(points).to(cells.planes.dtype).split(max(1, TABLE // max(n, d * d))):
        scores = rows @ cells.codes.T + cells.heights
        near = scores.topk(min(n, most), dim=1).indices
        cosine = (normals[near] * normals[near[:, :1]]).sum(2)
        within = (cosine > math.cos(angle)) & known[near]
        within[:, 0] = True
        yield rows, near, within
