"""Large arrays in pieces that fit the processor's cache, and long tasks side by side.

A chain of operations on a whole array waits for memory at each of its steps; on pieces it does not.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from array_api_compat import array_namespace, device, is_torch_array

from ot_latent._progress import progress

# Bytes of a piece. Several of numpy's fit the second-level cache, and allocators keep pieces of this
# size at hand, where larger ones come from the system anew each time. Torch shares each piece out
# among its threads.
_NUMPY_PIECE = 2**17
_TORCH_PIECE = 2**20
# OMP_NUM_THREADS is what torch and BLAS go by, too.
_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
_THREADS = int(os.environ.get("OMP_NUM_THREADS") or 0) or _CORES


def in_pieces(function, arrays, dtype):
    """``function(*arrays)`` in the given dtype; the arrays broadcast to the shape of the result.

    Torch tensors on other devices than the processor, and those that `torch.compile` traces, go
    through the function in one piece. The last axis is never cut.
    """
    if is_torch_array(arrays[0]):
        return _torch_in_pieces(function, arrays, dtype)
    result = np.empty(np.broadcast_shapes(*(array.shape for array in arrays)), dtype=dtype)
    # not side by side: each step on a piece is so short that threads would wait for the interpreter
    for piece, *parts in _pieces(result, arrays):
        piece[...] = function(*parts)
    return result


def side_by_side(function, tasks):
    """Call ``function(*task)`` for each task, several at a time; the first error is raised."""
    tasks = list(tasks)
    if _THREADS == 1 or len(tasks) == 1:
        for task in progress(tasks, "pieces"):
            function(*task)
        return
    with ThreadPoolExecutor(_THREADS) as pool:
        done = pool.map(lambda task: function(*task), tasks)
        for _ in progress(done, "pieces", len(tasks)):
            pass


def _pieces(result, arrays):
    """Pieces of `result`, each with its parts of the `arrays`."""
    axis, rows = _cut(result.shape, result.dtype.itemsize, _NUMPY_PIECE)
    if rows is None:
        yield result, *arrays
        return
    for start in range(0, result.shape[axis], rows):
        here = slice(start, start + rows)
        piece, *parts = (_part(array, axis - result.ndim, here) for array in (result, *arrays))
        yield from _pieces(piece, parts)


def _part(array, axis, here):
    """`array[here]` along an axis that counts from the last, unless the array is constant there."""
    if array.ndim < -axis or array.shape[axis] == 1:
        return array
    return array[(..., here, *[slice(None)] * (-axis - 1))]


def _torch_in_pieces(function, arrays, dtype):
    xp = array_namespace(arrays[0])
    shape = np.broadcast_shapes(*(array.shape for array in arrays))
    compiling = sys.modules["torch"].compiler.is_compiling()
    axis, rows = _cut(shape, arrays[0].dtype.itemsize, _TORCH_PIECE)
    if rows is None or compiling or str(device(arrays[0])) != "cpu":
        return xp.astype(function(*arrays), dtype, copy=False)

    def parts(array):
        last = axis - len(shape)
        if is_torch_array(array) and array.ndim >= -last and array.shape[last] > 1:
            return array.split(rows, last)  # one node for gradients, where slices would be many
        starts = range(0, shape[axis], rows)
        return [_part(array, last, slice(start, start + rows)) for start in starts]

    pieces = zip(*map(parts, arrays), strict=True)
    return xp.concat([_torch_in_pieces(function, piece, dtype) for piece in pieces], axis=axis)


def _cut(shape, itemsize, size):
    """The first axis that can be cut and how many of its rows fit `size` bytes; None: no need to."""
    many = int(np.prod(shape)) * itemsize / size
    axis = next((i for i, n in enumerate(shape[:-1]) if n > 1), None)
    if many <= 1 or axis is None:
        return axis, None
    return axis, max(1, int(shape[axis] / many))
