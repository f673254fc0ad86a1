"""Clusters of codes that are much closer to each other than to other codes."""

import math

import numpy as np
import torch
from scipy.ndimage import median
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

_TIGHT = 64  # times closer
_FAR = 256  # times further apart than codes usually are: clusters that neighbours do not link
_NEAR = 16  # neighbours of each code: connected, they span its cluster
_SHADOW = 32  # random dimensions in which neighbours are looked for where there are more
_TABLE = 2**20  # distances that are held at a time
_ALL_PAIRS = 4096  # codes up to which all distances are looked at; among more, only those far below the usual


def clusters(codes: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Partitions of the codes into clusters, clusters within these, and so on, at last into single codes.

    With the group of each code, (N,), comes how close groups of its cluster are, (N,), where the largest
    clusters are 1 apart. Empty where no codes are much closer than others.
    """
    if len(codes) < 3:
        return []
    codes = codes.double()
    length, near, usual = _neighbours(codes)
    i, place = np.nonzero(np.isfinite(length))
    j, length = near[i, place], length[i, place].clip(1e-9)
    parents, found = np.zeros(len(codes), int), []
    for power in (3, 2, 1, -1, -2, -3, -4):
        bound = usual * float(_TIGHT) ** power
        joined = length < bound
        links = coo_array((np.ones(joined.sum()), (i[joined], j[joined])), [len(codes)] * 2)
        count, groups = connected_components(links)
        if count == len(codes):
            break
        # groups that neighbours do not span may be near each other all the same
        if count > parents.max() + 1 and (power < 0 or _apart(codes, groups) > _FAR * usual):
            found.append((groups, _closeness(groups, parents, i, j, length, 8 * bound)))
            parents = groups
    if not found:
        return []
    singles, apart = np.arange(len(codes)), _apart(codes, found[0][0])
    found.append((singles, _closeness(singles, parents, i, j, length, 0.0)))
    found[0] = found[0][0], np.full(len(codes), apart)
    return [tuple(torch.from_numpy(array).to(codes.device) for array in (a.astype(int), b / apart)) for a, b in found]


def _neighbours(codes: torch.Tensor) -> tuple[np.ndarray, np.ndarray, float]:
    """Distances of each code to the nearest others, infinite where not known, which these are, and a usual one."""
    n = len(codes)
    k = min(n, _NEAR + 1)
    some = codes if n <= _ALL_PAIRS else codes[:: n // 128]
    parts = [torch.cdist(rows, codes).topk(k, largest=False) for rows in some.split(max(1, _TABLE // n))]
    length, near = (torch.cat(values)[:, 1:].cpu().numpy() for values in zip(*parts, strict=True))
    usual = max(float(np.median(length[:, 0])), 1e-9)
    if n > _ALL_PAIRS:
        points, bound = codes.cpu().numpy(), usual / _TIGHT
        if codes.shape[1] > _SHADOW:  # distances shrink by about (shadow / d)^(1/2), nearly all below twice that
            bound *= 2 * math.sqrt(_SHADOW / codes.shape[1])
            points = points @ np.linalg.qr(np.random.default_rng(0).standard_normal((codes.shape[1], _SHADOW)))[0]
        length, near = (x[:, 1:] for x in cKDTree(points).query(points, k, distance_upper_bound=bound))
        i, place = np.nonzero(np.isfinite(length))
        length[i, place] = (codes[i] - codes[near[i, place]]).norm(dim=1).cpu().numpy()
    return length, near, usual


def _closeness(
    groups: np.ndarray, parents: np.ndarray, i: np.ndarray, j: np.ndarray, length: np.ndarray, unknown: float
) -> np.ndarray:
    """How far each code's group and others of its parent usually are apart; 0 where there is no other."""
    least = np.full(len(groups), np.inf)
    between = (groups[i] != groups[j]) & (parents[i] == parents[j])
    for ends in (i, j):
        np.minimum.at(least, groups[ends[between]], length[between])
    children = np.bincount(np.unique(np.stack([parents, groups]), axis=1)[0])
    least = np.where(np.isfinite(least), least, unknown)[groups]
    several = np.flatnonzero(children > 1)
    middle = np.zeros(len(children))
    middle[several] = median(least, parents, several)
    return middle[parents]


def _apart(codes: torch.Tensor, partition: np.ndarray) -> float:
    """How far a code usually is from the next one of another group."""
    groups, least = torch.from_numpy(partition).to(codes.device), []
    for some in torch.arange(0, len(codes), math.ceil(len(codes) / 128)).split(max(1, _TABLE // len(codes))):
        distance = torch.cdist(codes[some], codes).masked_fill_(groups[some, None] == groups, math.inf)
        least.append(distance.amin(1))
    return float(torch.cat(least).median())
