"""The little that numpy and torch arrays need in order to share one implementation.

Nothing here imports torch: a torch tensor brings its own namespace along.
"""

import functools
import math
import numbers
import sys

import numpy as np
from array_api_compat import array_namespace, device, is_array_api_obj, is_torch_array, to_device


def as_floating(value, name="x"):
    """`value` as a floating array: arrays stay as they are, numbers and lists become float64."""
    if not is_array_api_obj(value):
        try:
            return np.asarray(value, dtype=float)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"{name} must be a number or a numpy or torch array, got {type(value).__name__}"
            ) from error
    if not array_namespace(value).isdtype(value.dtype, "real floating"):
        raise TypeError(f"{name} must be floating, got {value.dtype}: convert it to a float type")
    return value


def at_least_single(x):
    """Half precisions as float32, in which everything is computed; others unchanged."""
    xp = array_namespace(x)
    return xp.astype(x, xp.float32) if x.dtype.itemsize == 2 else x


def elementwise(function):
    """Let ``function(self, x)`` take numbers, lists and arrays, and return the dtype it was given."""

    @functools.wraps(function)
    def method(self, x):
        x = as_floating(x)
        result = function(self, at_least_single(x))
        return array_namespace(result).astype(result, x.dtype, copy=False)

    return method


def conform(x, *parameters):
    """`parameters` ready to be mixed with the array `x`: its namespace, dtype and device.

    Python floats stay floats, so that they never change the precision of `x`.
    """
    xp = array_namespace(x)

    def convert(parameter):
        if isinstance(parameter, float):
            return parameter
        if is_torch_array(parameter) and not is_torch_array(x):
            raise TypeError(
                "x must be a torch tensor, because the law or weights it meets are one; "
                f"got {type(x).__name__}"
            )
        if is_torch_array(parameter) or not is_torch_array(x):
            return xp.astype(to_device(parameter, device(x)), x.dtype, copy=False)
        return xp.asarray(parameter, dtype=x.dtype, device=device(x))

    return [convert(parameter) for parameter in parameters]


def parameter(value, name):
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


def wants_gradient(x):
    """Whether a gradient, backward or forward, is to flow through the array `x`."""
    if not is_torch_array(x):
        return False
    forward = sys.modules["torch"].autograd.forward_ad
    return x.requires_grad or forward.unpack_dual(x).tangent is not None


def generator(rng=None, like=None):
    """The numpy or torch generator that `rng` stands for.

    Parameters
    ----------
    rng : None, int, numpy.random.Generator or torch.Generator
        A generator is returned as it is. An int seeds a new one. None is fresh entropy for numpy,
        and follows ``torch.manual_seed`` for torch.
    like : array, optional
        A torch tensor here makes an int or None seed a torch generator on its device.
    """
    torch = sys.modules.get("torch")
    if isinstance(rng, np.random.Generator) or (torch and isinstance(rng, torch.Generator)):
        return rng
    is_seed = isinstance(rng, numbers.Integral) and not isinstance(rng, bool) and rng >= 0
    if rng is not None and not is_seed:
        raise TypeError(
            "rng must be None, an int >= 0, a numpy.random.Generator or a torch.Generator, "
            f"got {rng!r}"
        )
    if like is None or not is_torch_array(like):
        return np.random.default_rng(rng)
    seed = int(torch.randint(2**62, ())) if rng is None else int(rng)
    return torch.Generator(like.device).manual_seed(seed)


def draw(distribution, shape, rng, like=None):
    """Standard ``"uniform"`` (on [0, 1)) or ``"normal"`` numbers, at least in single precision.

    They come as numpy float64, or as torch's default dtype from a torch generator, unless an array
    `like` asks for its own kind, device and dtype.
    """
    shape = (int(shape),) if isinstance(shape, numbers.Integral) else tuple(shape)
    rng = generator(rng, like)
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
    return draws if like is None else conform(like, draws)[0]


def cast_like(x, like=None):
    """`x` in the dtype of `like`, if there is one: what a half-precision draw ends with."""
    return x if like is None else array_namespace(x).astype(x, like.dtype, copy=False)


def require_positive(value, name):
    """Raise ValueError unless every entry of `value` is > 0."""
    if not bool(value > 0 if isinstance(value, float) else array_namespace(value).all(value > 0)):
        raise ValueError(f"{name} must be positive, got {value}")


def valid_probability(p):
    """`p` with NaN outside [0, 1], as scipy's quantile functions have it."""
    return array_namespace(p).where((p >= 0) & (p <= 1), p, math.nan)
