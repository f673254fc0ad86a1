"""Are the points of a matched operation independent of each other, as it takes them to be?"""

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


class DependentPointsWarning(UserWarning):
    """Points of a matched operation depend on each other, so that its result does not follow the prior.

    Independent points get it less than once in 1e9 calls. Points on other devices than the processor, and
    those that torch traces, are not tested.
    """


def warn_of_dependence(zs: Sequence[Array], laws: Sequence[Any]) -> None:
    """Give a `DependentPointsWarning` if two of the points are equal up to sign, or vary together.

    `zs` broadcast against each other, and `laws` holds the law of each. Signs about the medians are multiplied
    number by number and, for comparison, at all circular shifts (by their spectra): where rows are alike, as in
    a path, chance makes every shift as large.
    """
    torch = sys.modules["torch"] if is_torch_array(zs[0]) else None
    if torch and (torch.compiler.is_compiling() or torch.jit.is_tracing() or str(device(zs[0])) != "cpu"):
        return
    shape = np.broadcast_shapes(*(z.shape for z in zs))
    rows, part = _READ // max(1, shape[-1]), [slice(None)]
    for size in shape[-2::-1]:
        part.insert(0, slice(max(1, rows)))
        rows //= max(1, size)

    def read(x: Array) -> np.ndarray:
        x = x if x.shape == shape else array_namespace(x).broadcast_to(x, shape)
        x = at_least_single(x[tuple(part)])
        return x.detach().numpy() if torch and is_torch_array(x) else x

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
