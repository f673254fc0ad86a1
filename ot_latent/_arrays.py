"""What numpy and torch arrays need in order to share one implementation, in pieces and with progress.

Nothing here imports torch: a torch tensor brings its own namespace along.
"""

import functools
import math
import numbers
import operator
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
from array_api_compat import array_namespace, device, is_array_api_obj, is_torch_array, to_device
from tqdm.auto import tqdm

# A numpy array or a torch tensor, from a user also a number or a list of them. No type says what they share.
Array: TypeAlias = Any

# None, an int >= 0, a numpy.random.Generator or a torch.Generator; see `generator`.
Seed: TypeAlias = Any

Item = TypeVar("Item")
_LARGEST = 2**63 - 1  # whole number that numpy and torch take


def progress(iterable: Iterable[Item], what: str, total: int | None = None) -> Iterable[Item]:
    """Iterate with a bar that appears after two seconds and leaves nothing behind; ``TQDM_DISABLE=1`` turns it off."""
    return tqdm(iterable, what, total, **_settings())


def progress_bar(what: str, total: int, done: int, unit: str) -> tqdm:
    """The same bar for work that comes in uneven portions: ``with`` it, and call its ``update(n)``."""
    return tqdm(None, what, total, initial=done, unit=f" {unit}", **_settings())


def _settings() -> dict[str, Any]:
    disabled = sys.stderr is None or os.environ.get("TQDM_DISABLE", "0") != "0"  # no stderr: it was closed
    return {"leave": False, "delay": 2, "disable": disabled}


def as_floating(value: Array, name: str = "x") -> Array:
    """`value` as a floating array: arrays stay as they are, numbers and lists become float64."""
    for part in value if isinstance(value, list | tuple) else [value]:
        if isinstance(part, np.ma.MaskedArray):  # its mask would be lost without a word
            remedy = "fill it with .filled(value), or drop the masked points"
            raise TypeError(f"{name} must not be a masked array: {remedy}")
    if not is_array_api_obj(value):
        try:
            plain = np.asarray(value)
            fractions = plain.dtype == object and all(isinstance(v, numbers.Number) for v in plain.flat)
            if plain.dtype.kind in "biuf" or fractions:
                return plain.astype(float, copy=False)
            found = f"{type(value).__name__} of {plain.dtype}"
        except (TypeError, ValueError, RuntimeError, OverflowError):  # ragged lists, tensors with gradients in a list
            found = type(value).__name__
        raise TypeError(f"{name} must be a number or a numpy or torch array, of real numbers; got {found}")
    if not array_namespace(value).isdtype(value.dtype, "real floating"):
        raise TypeError(f"{name} must be floating, got {value.dtype}: give real numbers of a float type")
    return np.asarray(value) if isinstance(value, np.ndarray) else value


def real_numbers(x: Array, name: str) -> np.ndarray:
    """`x` as float64 of numpy; TypeError for what would lose a part, such as complex and masked numbers, or text."""
    given = x if isinstance(x, list | tuple) else np.asanyarray(x)
    whole = isinstance(given, np.ndarray) and given.dtype.kind in "biu"
    return np.asarray(as_floating(given.astype(float) if whole else given, name), dtype=float)


def at_least_single(x: Array) -> Array:
    """Half precisions as float32, in which everything is computed; others unchanged."""
    if x.dtype.itemsize != 2:
        return x
    xp = array_namespace(x)
    return xp.astype(x, xp.float32)


def elementwise(function: Callable[[Any, Array], Array]) -> Callable[[Any, Array], Array]:
    """Let ``function(self, x)`` take numbers, lists and arrays, and return the dtype it was given."""

    name = function.__code__.co_varnames[1]

    @functools.wraps(function)
    def method(self: Any, *given: Array, **named: Array) -> Array:
        [x] = given or [named[name]]
        x = as_floating(x, name)
        result = function(self, at_least_single(x))
        return array_namespace(result).astype(result, x.dtype, copy=False)

    return method


def conform(x: Array, *parameters: Array) -> list[Any]:
    """`parameters` in the namespace, dtype and device of `x`; Python floats, which never change its precision, stay."""
    xp = array_namespace(x)

    def convert(parameter: Array) -> Array:
        if isinstance(parameter, float):
            return parameter
        if is_torch_array(parameter) and not is_torch_array(x):
            raise TypeError(f"x must be a torch tensor, because the law or weights are one; got {type(x).__name__}")
        if is_torch_array(parameter) or not is_torch_array(x):
            return xp.astype(to_device(parameter, device(x)), x.dtype, copy=False)
        return xp.asarray(parameter, dtype=x.dtype, device=device(x))

    return [convert(parameter) for parameter in parameters]


def count(value: Any, name: str, least: int = 1, most: int | None = None) -> int:
    """`value` as an int; TypeError unless it is a whole number, ValueError below the least or above the most."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if not least <= value <= (_LARGEST if most is None else most):
        most = _LARGEST if most is None and value > least else most
        bound = f" and at most {most}" if most else ""
        raise ValueError(f"{name} must be at least {least}{bound}, got {str(value):.40}")
    return int(value)


def choice(value: Any, name: str, choices: Iterable[Any]) -> Any:
    """`value`; ValueError unless it is one of the choices."""
    if repr(value) not in (known := [repr(choice) for choice in choices]):
        wanted = " or ".join(known) if len(known) == 2 else f"one of {', '.join(map(str, choices))}"
        raise ValueError(f"{name} must be {wanted}, got {value!r}")
    return value


def number(value: Any, name: str, least: float = -math.inf, positive: bool = False) -> float:
    """`value` as a float; TypeError unless it is one real number, ValueError unless it is finite and in its range."""
    value = value.item() if is_array_api_obj(value) and value.ndim == 0 else value
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    if not (value >= least and abs(value) <= sys.float_info.max and (value > 0 or not positive)):
        bound = "positive and " if positive else f"at least {least:g} and " if least > -math.inf else ""
        raise ValueError(f"{name} must be {bound}finite, got {str(value):.40}")
    return float(value)


def parameter(value: Array, name: str) -> Array:
    """`value`, finite: a Python float if it is one number, else an array, at least float32.

    A torch number stays a tensor, so that gradients reach it.
    """
    if is_array_api_obj(value) and array_namespace(value).isdtype(value.dtype, "integral"):
        value = 1.0 * value
    value = at_least_single(as_floating(value, name))
    xp = array_namespace(value)
    if not bool(xp.all(xp.isfinite(value))):
        raise ValueError(f"{name} must be finite, got {value}")
    return float(value) if value.ndim == 0 and not is_torch_array(value) else value


def wants_gradient(x: Array) -> bool:
    """Whether a gradient, backward or forward, is to flow through the array `x`."""
    return is_torch_array(x) and bool(
        x.requires_grad or sys.modules["torch"].autograd.forward_ad.unpack_dual(x).tangent is not None
    )


def generator(rng: Seed = None, like: Array = None, purpose: str = "") -> Any:
    """The numpy or torch generator that `rng` stands for.

    Parameters
    ----------
    rng : None, int, numpy.random.Generator or torch.Generator
        A generator is returned as it is. An int seeds a new one. None is fresh entropy for numpy,
        and follows ``torch.manual_seed`` for torch.
    like : array, optional
        A torch tensor here makes an int or None seed a torch generator on its device.
    purpose : str
        The same int gives independent streams for different purposes; that of priors' own draws is "".
    """
    torch = sys.modules.get("torch")
    if isinstance(rng, np.random.Generator) or (torch and isinstance(rng, torch.Generator)):
        return rng
    is_seed = isinstance(rng, numbers.Integral) and not isinstance(rng, bool) and rng >= 0
    if rng is not None and not is_seed:
        raise TypeError(f"rng must be None, an int >= 0, a numpy.random.Generator or a torch.Generator, got {rng!r}")
    words = None if rng is None else np.random.SeedSequence((int(rng), *purpose.encode()))
    if like is None or not is_torch_array(like):
        return np.random.default_rng(words)
    if words is None:
        seed = int(torch.randint(2**62, ()))
    else:
        seed = int(words.generate_state(1, np.uint64)[0] >> 1) if purpose else int(rng)
    return torch.Generator(like.device).manual_seed(seed)


def as_shape(shape: int | Sequence[int]) -> tuple[int, ...]:
    """`shape`, of one axis or several, as a tuple of whole numbers, none negative."""
    try:
        sizes = tuple(map(operator.index, shape if np.iterable(shape) else (shape,)))
    except TypeError:
        sizes = (-1,)
    if min(sizes, default=0) < 0:
        raise ValueError(f"shape must be a whole number >= 0, or several, got {shape!r}")
    return sizes


def draw(distribution: str, shape: int | Sequence[int], rng: Seed, like: Array = None) -> Array:
    """Standard ``"uniform"`` (on (0, 1)) or ``"normal"`` numbers, at least in single precision.

    numpy float64, or torch's default dtype from a torch generator; or as an array `like` is.
    """
    shape, rng = as_shape(shape), generator(rng, like)
    like = None if like is None else at_least_single(as_floating(like, "like"))
    if isinstance(rng, np.random.Generator):
        single = like is not None and like.dtype.itemsize == 4
        sample = rng.random if distribution == "uniform" else rng.standard_normal
        draws = np.asarray(sample(shape, dtype=np.float32 if single else np.float64))
    else:
        if like is not None and not is_torch_array(like):
            raise TypeError("rng must be an int or a numpy Generator where like is a numpy array")
        torch = sys.modules["torch"]
        sample = torch.rand if distribution == "uniform" else torch.randn
        dtype = None if like is None else like.dtype
        draws = sample(shape, generator=rng, device=rng.device, dtype=dtype)
    if distribution == "uniform":  # 0, which may come up, as half a step: its quantile may be infinite
        draws = draws.clip(float(array_namespace(draws).finfo(draws.dtype).eps) / 4)
    return draws if like is None else conform(like, draws)[0]


def cast_like(x: Array, like: Array = None) -> Array:
    """`x` in the dtype of `like`, if there is one: what a half-precision draw ends with."""
    return x if like is None else array_namespace(x).astype(x, like.dtype, copy=False)


def require_positive(value: Array, name: str) -> None:
    """Raise ValueError unless every entry of `value` is > 0."""
    if not bool(value > 0 if isinstance(value, float) else array_namespace(value).all(value > 0)):
        raise ValueError(f"{name} must be positive, got {value}")


def valid_probability(p: Array) -> Array:
    """`p` with NaN outside [0, 1], as scipy's quantile functions have it."""
    return array_namespace(p).where((p >= 0) & (p <= 1), p, math.nan)


def euclidean_norm(z: Array, axis: int | tuple[int, ...] = -1) -> Array:
    """‖z‖ along the last axis or others, (..., 1), with gradient 0 rather than NaN at z = 0."""
    xp = array_namespace(z)
    square = xp.sum(z * z, axis=axis, keepdims=True)
    return xp.where(square > 0, xp.where(square > 0, square, 1.0) ** 0.5, 0.0)


def cores() -> int:
    """Cores that this process may use; a batch system often grants fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class Limits:
    """How work on arrays is cut into pieces and shared out; results do not depend on it.

    Attributes
    ----------
    numpy_piece, torch_piece : int
        Bytes of a piece in `in_pieces`: several of numpy's fit the second-level cache. Torch shares each of its own
        out among threads, which wait for each other at every step; no larger a tensor is cut into numpy's, for one.
    points : int
        How many numbers a function sees at a time where laws differ from entry to entry.
    threads : int
        Of `side_by_side`: OMP_NUM_THREADS, which torch and BLAS go by too, or as many as there are cores.
    """

    numpy_piece: int = 2**17
    torch_piece: int = 2**22
    points: int = 2**14
    threads: int = int(os.environ.get("OMP_NUM_THREADS") or 0) or cores()


limits = Limits()


def in_pieces(function: Callable[..., Array], arrays: Sequence[Array], dtype: Any) -> Array:
    """``function(*arrays)`` in the given dtype; the arrays broadcast to the shape of the result.

    What it computes on the way stays in the cache. Torch tensors on other devices than the processor, and
    those that `torch.compile` traces, go through it in one piece. The last axis is never cut.
    """
    shape = np.broadcast_shapes(*(array.shape for array in arrays))
    if is_torch_array(arrays[0]):
        large = np.prod(shape) * arrays[0].dtype.itemsize > limits.torch_piece
        return _torch_in_pieces(function, arrays, dtype, limits.torch_piece if large else limits.numpy_piece)
    result = np.empty(shape, dtype=dtype)
    # not side by side: each step on a piece is so short that threads would wait for the interpreter
    for piece, *parts in _pieces(result, arrays):
        piece[...] = function(*parts)
    return result


def side_by_side(function: Callable[..., None], tasks: Iterable[tuple[Any, ...]]) -> None:
    """Call ``function(*task)`` for each task, several at a time; the first error is raised."""
    tasks = list(tasks)
    if limits.threads == 1 or len(tasks) == 1:
        for task in progress(tasks, "pieces"):
            function(*task)
        return
    with ThreadPoolExecutor(limits.threads) as pool:
        for _ in progress(pool.map(lambda task: function(*task), tasks), "pieces", len(tasks)):
            pass


def _pieces(result: np.ndarray, arrays: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, ...]]:
    """Pieces of `result`, each with its parts of the `arrays`."""
    axis, rows = _cut(result.shape, result.dtype.itemsize, limits.numpy_piece)
    if rows is None:
        yield result, *arrays
        return
    for start in range(0, result.shape[axis], rows):
        here = slice(start, start + rows)
        piece, *parts = (_part(array, axis - result.ndim, here) for array in (result, *arrays))
        yield from _pieces(piece, parts)


def _part(array: Array, axis: int, here: slice) -> Array:
    """`array[here]` along an axis that counts from the last, unless the array is constant there."""
    if array.ndim < -axis or array.shape[axis] == 1:
        return array
    return array[(..., here, *[slice(None)] * (-axis - 1))]


def _torch_in_pieces(function: Callable[..., Array], arrays: Sequence[Array], dtype: Any, size: int) -> Array:
    xp = array_namespace(arrays[0])
    shape = np.broadcast_shapes(*(array.shape for array in arrays))
    axis, rows = _cut(shape, arrays[0].dtype.itemsize, size)
    if rows is None or sys.modules["torch"].compiler.is_compiling() or str(device(arrays[0])) != "cpu":
        return xp.astype(function(*arrays), dtype, copy=False)
    last, starts = axis - len(shape), range(0, shape[axis], rows)

    def parts(array: Array) -> Sequence[Array]:
        if is_torch_array(array) and array.ndim >= -last and array.shape[last] > 1:
            return array.split(rows, last)  # one node for gradients, where slices would be many
        return [_part(array, last, slice(start, start + rows)) for start in starts]

    pieces = zip(*map(parts, arrays), strict=True)
    return xp.concat([_torch_in_pieces(function, piece, dtype, size) for piece in pieces], axis=axis)


def _cut(shape: tuple[int, ...], itemsize: int, size: int) -> tuple[Any, int | None]:
    """The first axis that can be cut and how many of its rows fit `size` bytes; None: no need to."""
    many = int(np.prod(shape)) * itemsize / size
    axis = next((i for i, n in enumerate(shape[:-1]) if n > 1), None)
    if many <= 1 or axis is None:
        return axis, None
    return axis, max(1, int(shape[axis] / many))
