"""Which of N planes is highest, found by tiles."""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F

from ot_latent.priors.laws import ByValue

_GROUP = 32  # codes whose maximum is taken at once; the position within comes later
WIDE = 64  # coordinates
_TILE = {"cpu": (4096, 256), "cuda": (65_536, 2_048)}  # codes x noise: fits the cache, fills the GPU


class Cells(ByValue):
    """The cells of N planes: which plane is highest at each point.

    It is found by tiles: memory O(codes x d + tile), never noise x codes. A maximum over groups of
    codes is vectorised, an argmax over all of them is not: find the best group first, then the code
    within that group.
    """

    def __init__(self, codes: torch.Tensor) -> None:
        self.n, d = codes.shape
        self.codes_in_tile, self.rows = _TILE.get(codes.device.type, _TILE["cuda"])
        planes = codes.new_zeros(math.ceil(self.n / _GROUP) * _GROUP, d + 1)
        planes[: self.n, :d], planes[self.n :, d] = codes, -math.inf  # what fills the last group is never highest
        self.planes, self.groups = planes, planes.view(-1, _GROUP, d + 1)

    @property
    def codes(self) -> torch.Tensor:
        """Slopes of the planes: (N, d)"""
        return self.planes[: self.n, :-1]

    @property
    def heights(self) -> torch.Tensor:
        """Heights of the planes at 0: (N,)"""
        return self.planes[: self.n, -1]

    def set_heights(self, heights: torch.Tensor) -> None:
        """Move the planes to these heights: (N,)"""
        self.planes[: self.n, -1] = heights

    def highest(self, noise: torch.Tensor, own: torch.Tensor | None = None) -> torch.Tensor:
        """Index of the plane that is highest at each point, its `own` ones apart: (m, d), (m, k) -> (m,)"""
        if not len(noise):
            return torch.zeros(0, dtype=torch.long, device=noise.device)
        own = noise.new_empty((len(noise), 0), dtype=torch.long) if own is None else own
        each = zip(noise.split(self.rows), own.split(self.rows), strict=True)
        return torch.cat([self._highest(rows, apart) for rows, apart in each])

    def slack(self, noise: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        """How far each plane is below the envelope at the noise point where it is nearest: (N,)"""
        least = torch.full_like(self.planes[:, 0], math.inf)
        for rows, apart in zip(noise.split(self.rows), own.split(self.rows), strict=True):
            points = F.pad(rows, (0, 1), value=1.0).T.contiguous()
            top = (self.planes[self._highest(rows, apart)] * points.T).sum(1)
            for scores, part in zip(self._tiles(points, apart), least.split(self.codes_in_tile), strict=True):
                torch.minimum(part, (top - scores).amin(1).clamp(min=0), out=part)
        return least[: self.n]

    def _highest(self, noise: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        points = F.pad(noise, (0, 1), value=1.0).T.contiguous()  # planes @ (z, 1) are heights of planes
        if noise.shape[1] > WIDE:
            return self._highest_of_wide(points, own, 1)[0]
        tops = [scores.view(-1, _GROUP, len(noise)).amax(1) for scores in self._tiles(points, own)]
        group = torch.cat(tops).max(0).indices
        within = torch.bmm(self.groups[group], points.T[:, :, None]).squeeze(2)
        _sink(within.T, own - group[:, None] * _GROUP)
        return group * _GROUP + within.argmax(1)

    def crossed(self, noise: torch.Tensor, times: int) -> torch.Tensor:
        """Index of the highest plane at points that have half of their coordinates from another one each.

        Where coordinates are independent these follow the law of the noise, too, and from many
        coordinates a half of them tells little of which plane is highest: for one product of matrices
        come ``times`` as many points that are nearly independent. (m, d) -> (times m,)
        """
        parts = (F.pad(rows, (0, 1), value=1.0).T.contiguous() for rows in noise.split(self.rows))
        none = noise.new_empty((0, 0), dtype=torch.long)
        return torch.cat([self._highest_of_wide(points, none, times).ravel() for points in parts])

    def _highest_of_wide(self, points: torch.Tensor, own: torch.Tensor, times: int) -> torch.Tensor:
        """As `_highest`, where a group's planes hold so many numbers that fetching them again takes longest."""
        m = points.shape[1]
        every, half = torch.arange(m, device=points.device), len(points) // 2
        value, index = points.new_full((times, m), -math.inf), torch.zeros(times, m, dtype=torch.long).to(points.device)
        for first, planes in self._tiled:
            one = planes @ points if times == 1 else planes[:, :half] @ points[:half]
            other = None if times == 1 else (planes[:, half:] @ points[half:]).repeat(1, 2)
            _sink(one, own - first)
            for k in range(times):
                groups = (one if other is None else one + other[:, k % m : k % m + m]).view(-1, _GROUP, m)
                top, group = groups.amax(1).max(0)
                place = first + group * _GROUP + groups[group, :, every].argmax(1)
                index[k] = torch.where(top > value[k], place, index[k])
                value[k] = torch.maximum(top, value[k])
        return index.clamp(max=self.n - 1)

    @property
    def _tiled(self) -> Iterator[tuple[int, torch.Tensor]]:
        size = self.codes_in_tile
        return zip(range(0, len(self.planes), size), self.planes.split(size), strict=True)

    def _tiles(self, points: torch.Tensor, own: torch.Tensor) -> Iterator[torch.Tensor]:
        most = min(self.codes_in_tile, len(self.planes)) * points.shape[1]
        tile = self.planes.new_empty(most)  # one for all, but none that calls of several threads would share
        for first, planes in self._tiled:
            size = len(planes), points.shape[1]
            yield _sink(torch.mm(planes, points, out=tile[: math.prod(size)].view(size)), own - first)


def _sink(scores: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """Scores with those of each point's own planes, which may be rows of another tile, at -inf: (n, m), (m, k)"""
    if own.shape[1]:
        point, column = ((own >= 0) & (own < len(scores))).nonzero(as_tuple=True)
        scores[own[point, column], point] = -math.inf
    return scores
