"""Points and their cells: the highest plane, chances of all planes, draws of both, choices among equal codes."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F

from ot_latent._arrays import draw, require_positive
from ot_latent.laguerre import TABLE, SemiDual

_FAR = 1e15  # coordinates of points that need double precision


def cells_of(dual: SemiDual, points: torch.Tensor) -> torch.Tensor:
    """The cell of each point: (m, d) -> (m,)"""
    points = dual.centered(points.detach())
    cells, far = dual.cell(points), points.abs().amax(1) > _FAR
    if dual.line is None and far.any():  # beyond what single precision holds
        lifted = F.pad(points[far].double(), (0, 1), value=1.0)
        rows = (lifted / lifted.abs().amax(1, keepdim=True)).split(max(1, TABLE // dual.cells.n))
        planes = dual.cells.planes[: dual.cells.n].double().T
        cells[far] = torch.cat([(part @ planes).argmax(1) for part in rows])
    return cells


def chances(dual: SemiDual, points: torch.Tensor, temperature: float) -> torch.Tensor:
    """Of the cells, softly, in double precision: (m, d) -> (m, cells)"""
    require_positive(float(temperature), "temperature")
    planes = dual.centered(points).double() @ dual.cells.codes.double().T + dual.cells.heights
    return (planes * (dual.scale / temperature) + dual.masses.log()).softmax(1)


def drawn(dual: SemiDual, n: int, rng: Any, temperature: float) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Noise and its cells, n in all, a batch at a time; of chance at a temperature above 0."""
    cells, d = dual.cells.n, dual.codes.shape[1]
    size = max(1, TABLE // (cells if temperature else d))
    for first in range(0, n, size):
        noise = dual.prior.sample((min(size, n - first), d), rng, like=dual.codes)
        if not temperature:
            yield noise, cells_of(dual, noise)
            continue
        sums = chances(dual, noise, temperature).cumsum(1)
        level = draw("uniform", (len(noise), 1), rng, like=sums) * sums[:, -1:]
        yield noise, torch.searchsorted(sums, level)[:, 0].clamp(max=cells - 1)


def among_equal(
    cell_of_code: torch.Tensor, share: torch.Tensor, cells: torch.Tensor, level: torch.Tensor
) -> torch.Tensor:
    """A code of each cell, with chances by its share of the cell; `level` is uniform on (0, 1)."""
    order = cell_of_code.argsort(stable=True)
    ends = share[order].cumsum(0)  # of each cell: 1
    return order[torch.searchsorted(ends, cells + level).clamp(max=len(order) - 1)]
