"""Are the points of a matched operation independent of each other and of the prior, as it takes them to be?"""

import functools
import math
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_torch_array

from ot_latent._arrays import Array, at_least_single

# How many numbers of each point are read, though at least one row, and how often independent points raise alarm.
_READ, _FALSE_ALARMS = 1024, 1e-9
_LEAST = 256  # numbers of a point whose norm is looked at


class DependentPointsWarning(UserWarning):
    """Points of a matched operation depend on each other, so that its result does not follow the prior.

    Independent points get it less than once in 1e9 calls. Points on other devices than the processor, and
    those that torch traces, are not tested.
    """


class OffPriorWarning(UserWarning):
    """A point of a matched operation has another norm than the Gaussian prior gives, so that its result has, too.

    As inverted latents do. Looked at is the first point, along the last axis or, of arrays with four axes, such as
    pictures, the last three, if it has 256 numbers; points of the prior get it less than once in 1e9 calls.
    """


def warn_of_norms(zs: Sequence[Array], laws: Sequence[Any]) -> None:
    """Give an `OffPriorWarning` if the norm of one of the points is not that of its Gaussian law.

    The bounds of the chi-square law are those of Laurent and Massart (2000), Lemma 1.
    """
    for i, (z, law) in enumerate(zip(zs, laws, strict=True)):
        mean, std = getattr(law, "mean", None), getattr(law, "std", None)
        if not (isinstance(mean, float) and isinstance(std, float)):
            continue
        point = z[0] if z.ndim == 4 and len(z) else z[(0,) * (z.ndim - 1)] if 0 not in z.shape else z
        n = math.prod(point.shape)
        if n < _LEAST or not _readable(z):
            continue
        x = math.log(2 * len(zs) / _FALSE_ALARMS) / n
        try:
            point = at_least_single(point.detach() if is_torch_array(point) else point)
            square = float(((point - mean) ** 2).mean()) / std**2
        except RuntimeError:  # traced by torch
            return
        if not 1 - 2 * x**0.5 <= square <= 1 + 2 * x**0.5 + 2 * x and math.isfinite(square):
            size = square**0.5
            warnings.warn(
                f"point {i + 1} of this operation lies at {square:.2f} times the squared norm of the prior, as "
                "inverted latents do: the result does not follow the prior. Divide its distance to the prior's mean by "
                f"{size:.3g}, or pass laws= to combine, with Gaussian({mean:g}, {std * size:.3g}) for this point",
                OffPriorWarning,
                stacklevel=4,
            )
            return


def _readable(z: Array) -> bool:
    """Whether the values of z can be looked at without a copy from a device, or a break of a trace."""
    torch = sys.modules["torch"] if is_torch_array(z) else None
    return not (torch and (torch.compiler.is_compiling() or torch.jit.is_tracing() or str(device(z)) != "cpu"))


def warn_of_dependence(zs: Sequence[Array], laws: Sequence[Any]) -> None:
    """Give a `DependentPointsWarning` if two of the points are equal up to sign, or vary together.

    `zs` broadcast against each other, and `laws` holds the law of each. Signs about the medians are multiplied
    number by number and, for comparison, at all circular shifts (by their spectra): where rows are alike, as in
    a path, chance makes every shift as large.
    """
    if not _readable(zs[0]):
        return
    shape = np.broadcast_shapes(*(z.shape for z in zs))
    rows, part = _READ // max(1, shape[-1]), [slice(None)]
    for size in shape[-2::-1]:
        part.insert(0, slice(max(1, rows)))
        rows //= max(1, size)

    def read(x: Array) -> np.ndarray:
        x = x if x.shape == shape else array_namespace(x).broadcast_to(x, shape)
        x = at_least_single(x[tuple(part)])
        return x.detach().numpy() if is_torch_array(x) else x

    try:
        values = [read(z) for z in zs]
        medians = [m if m.ndim < 2 else read(m) for m in map(_median, laws)]
        signs = np.array([np.sign(v - m).ravel() for v, m in zip(values, medians, strict=True)])
    except (RuntimeError, TypeError, ValueError):  # traced by torch, tensors as parameters, or shapes of errors to come
        return
    count, agreement = signs.shape[1], signs @ signs.T
    if count < 8 or np.triu(abs(agreement), 1).max() < 2 * count**0.5:  # nearly always, and quickly
        return
    power = abs(np.fft.rfft(signs)) ** 2
    by_chance = 2 * power @ power.T / count**2
    certain = agreement**2 > 2 * math.log(len(zs) ** 2 / _FALSE_ALARMS) * by_chance
    for i, j in np.argwhere(np.triu(certain | (abs(agreement) == count), 1)):
        if certain[i, j] or np.array_equal(abs(values[i]), abs(values[j])):
            r = math.sin(math.pi / 2 * agreement[i, j] / count)
            remedy = "Draw one of them anew"
            if getattr(laws[i], "takes_correlation", False) and abs(r) < 0.99:
                remedy += ", or pass correlation= to combine or interpolate, which is exact for jointly normal points"
            warnings.warn(
                f"points {i + 1} and {j + 1} of this operation depend on each other (correlation about {r:.2f}): "
                f"the result does not follow the prior, which takes independent points. {remedy}",
                DependentPointsWarning,
                stacklevel=4,
            )
            return


@functools.lru_cache(maxsize=256)
def _median(law: Any) -> np.ndarray:
    if getattr(law, "of_whole_points", False):  # those of radial laws are zero
        return getattr(law, "medians", np.zeros(1))
    return law.icdf(np.full(getattr(law, "d", 1), 0.5))
