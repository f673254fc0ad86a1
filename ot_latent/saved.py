"""Objects that last: priors, fitted maps and generators in one file, safetensors with JSON, never a pickle.

A file holds the objects that one is made of, each with the name of its class and its state. Names choose among
`CLASSES` and nothing else, so that no code comes from data; arrays keep every bit, and tensors their device.
"""

from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from array_api_compat import is_torch_array

from ot_latent import __version__
from ot_latent._storage import as_path, network, read_tensors, save_tensors

VERSION = 2  # of the format: one more where files are written that programs of today cannot read
FILE = "model.safetensors"  # where `path` is a folder

#: The module of each class that a file may name. A room adds its own: it is imported where a file names it.
CLASSES = {
    name: module
    for module, names in {
        "ot_latent.priors.gaussian": "Gaussian",
        "ot_latent.priors.uniform": "Uniform Trapezoid",
        "ot_latent.priors.uniform_sums": "UniformSum",
        "ot_latent.priors.laws": "LawPerEntry",
        "ot_latent.priors.product": "Product",
        "ot_latent.priors.radial": "Radial",
        "ot_latent.priors.multivariate": "MultivariateGaussian",
        "ot_latent.priors.elliptical": "Elliptical",
        "ot_latent.priors.scipy_prior": "ScipyPrior",
        "ot_latent.priors.numerical.law": "NumericalLaw",
        "ot_latent.priors.numerical.axis": "Axis",
        "ot_latent.priors.numerical.levels": "LevelTable",
        "ot_latent.priors.numerical.steps": "LinearDensity",
        "ot_latent.semidiscrete.transport": "SemiDiscreteOT",
        "ot_latent.semidiscrete.classes": "ClassCoupling",
        "ot_latent.laguerre.dual": "SemiDual",
        "ot_latent.laguerre.certificate": "Estimate",
        "ot_latent.codes.law": "Codes",
        "ot_latent.codes.correction": "CodeSet Correction Sums",
        "ot_latent.codes.two_samples": "Gain Trial",
        "ot_latent.latent_transport": "LatentTransport",
        "ot_latent.brenier": "Potential",
        "ot_latent.models.autoencoders": "AAE AVB Autoencoder VAE WAEGAN WAEMMD",
        "ot_latent.models.classifiers": "CifarClassifier DigitClassifier",
        "ot_latent.models.gans": "DCGAN WGANGP",
        "ot_latent.models.generators": "Generator",
        "ot_latent.own.model": "ImageModel",
    }.items()
    for name in names.split()
}


def save(obj: Any, path: str | Path) -> Path:
    """Save a prior, a fitted map or a generator in one file, which `load` reads.

    What was loaded gives the results of what was saved, bit for bit on one machine. The file appears whole or not
    at all.

    Parameters
    ----------
    obj : a prior, `SemiDiscreteOT`, `LatentTransport`, `generators.Generator` or a network of `models`
        With all that it knows: `Codes` with the maps that were fitted for them.
    path : path
        A file, best one that ends in ``.safetensors``, or a folder that exists: ``model.safetensors`` in it.

    Returns
    -------
    Path of the file.

    Raises
    ------
    TypeError
        If the object, or a law that it holds, is none of this library and so has no name in a file.

    Examples
    --------
    >>> import tempfile, ot_latent as otl
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = otl.save(otl.Gaussian(1, 2), folder)
    ...     otl.load(path)
    Gaussian(mean=1.0, std=2.0)
    """
    path, writer = _file(path), _Writer()
    root = writer(obj, "obj")
    if not isinstance(root, dict) or "object" not in root:
        raise TypeError(f"obj must be a prior, a fitted map or a generator of ot_latent, got {type(obj).__name__}")
    facts = {"format": "ot_latent", "version": VERSION, "written_by": __version__}
    save_tensors(path, writer.arrays, facts | {"objects": writer.objects})
    return path


def load(path: str | Path, device: Any = None) -> Any:
    """The object that `save` wrote, or `fit_images` and its like.

    Parameters
    ----------
    path : path
        A file, or a folder with a ``model.safetensors``.
    device : torch device, optional
        For all tensors; by default each goes to where it was.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged, is something else, was written by a newer version, or there is no such device here.
    """
    path = _file(path)
    arrays, facts = read_tensors(path, "object that ot_latent saved", "numpy")
    if not isinstance(facts, dict) or facts.get("format") != "ot_latent" or not isinstance(facts.get("version"), int):
        raise ValueError(f"{path} holds no object that ot_latent saved")
    if facts["version"] > VERSION:
        written = f"{path} was written by ot_latent {facts.get('written_by')} in format {facts['version']}"
        raise ValueError(
            f"{written}; version {__version__}, which is installed, reads up to {VERSION}: update ot_latent"
        )
    if device is not None:
        _available(device)
    try:
        return _Reader(arrays, facts["objects"], device).object(0)
    except _DeviceError as error:
        raise ValueError(f"{path} holds tensors of another device, {error}: load(path, device='cpu')") from error
    except (ArithmeticError, AttributeError, LookupError, RecursionError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged, or no object that ot_latent saved: {error}") from error


def _file(path: str | Path) -> Path:
    path = as_path(path, "path")
    return path / FILE if path.is_dir() else path


def _available(device: Any) -> Any:
    from ot_latent._loop import available  # here, because priors do without torch

    return available(device)


class _DeviceError(Exception):
    """There is no such device here."""


class _Writer:
    """Values as JSON, with arrays and objects beside it that are referred to by number, each once."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.objects: list[dict[str, Any]] = []
        self._seen: dict[int, tuple[dict[str, Any], Any]] = {}  # with the value, whose id is not to be given anew

    def __call__(self, value: Any, where: str) -> Any:
        if value is None or type(value) in (bool, int, float, str):
            return value
        if type(value) is list:
            return [self(part, where) for part in value]
        if type(value) is tuple:
            return {"tuple": [self(part, where) for part in value]}
        if type(value) is dict:
            return {"dict": [[self(key, where), self(part, where)] for key, part in value.items()]}
        if isinstance(value, np.generic):
            return {"number": self._array(np.asarray(value))}
        if type(value).__name__ == "device":
            return {"device": str(value)}
        if id(value) not in self._seen:
            self._seen[id(value)] = (reference := {}), value
            reference |= self._reference(value, where, reference)
        return self._seen[id(value)][0]

    def _reference(self, value: Any, where: str, reference: dict[str, Any]) -> dict[str, Any]:
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            return {"array": self._array(value)}
        if is_torch_array(value):
            plain, half = value.detach().cpu(), str(value.dtype) == "torch.bfloat16"
            bits = plain.view(plain.new_empty(0).short().dtype) if half else plain  # numpy has no such type
            return {"tensor": self._array(bits.numpy()), "device": str(value.device), "bfloat16": half}
        kind = type(value)
        if CLASSES.get(kind.__name__) != kind.__module__:
            raise TypeError(
                f"{where} is a {kind.__module__}.{kind.__qualname__}, which has no name in a file: take a law or map "
                "of ot_latent, or keep it by pickle for this environment alone"
            )
        reference["object"] = len(self.objects)
        self.objects.append(entry := {"class": kind.__name__})
        entry["state"] = {name: self(part, f"{where}.{name}") for name, part in _state(value).items()}
        return reference

    def _array(self, value: np.ndarray) -> str:
        name = str(len(self.arrays))
        self.arrays[name] = value.copy(order="C")
        return name


def _state(value: Any) -> dict[str, Any]:
    """What an object is made anew from, by `_built`; without what it computes from the rest, but for single numbers."""
    if hasattr(value, "saved_state"):
        return value.saved_state()
    if hasattr(value, "state_dict"):
        return {"config": value.config, "training": value.training, "weights": dict(value.state_dict())}
    if isinstance(value, tuple):
        return value._asdict()
    known = {name for name in vars(value) if isinstance(getattr(type(value), name, None), cached_property)}
    return {k: v for k, v in value.__getstate__().items() if k not in known or isinstance(v, int | float)}


class _Reader:
    """The way back: each object is made when it is first asked for."""

    def __init__(self, arrays: dict[str, np.ndarray], objects: list[dict[str, Any]], device: Any) -> None:
        self.arrays, self.objects, self.device = arrays, objects, device
        self._made: dict[Any, Any] = {}

    def _place(self, name: str) -> Any:
        try:
            return _available(name if self.device is None else self.device)
        except ValueError as error:
            raise _DeviceError(name) from error

    def __call__(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self(part) for part in value]
        if not isinstance(value, dict):
            return value
        [tag] = value.keys() - {"device", "bfloat16"} or {"device"}
        ways: dict[str, Callable[[], Any]] = {
            "tuple": lambda: tuple(map(self, value[tag])),
            "dict": lambda: {self(key): self(part) for key, part in value[tag]},
            "number": lambda: self.arrays[value[tag]][()],
            "device": lambda: self._place(value[tag]),
            "object": lambda: self.object(value[tag]),
            "array": lambda: self._once(value[tag], lambda: self.arrays[value[tag]]),
            "tensor": lambda: self._once(value[tag], lambda: self._tensor(value)),
        }
        return ways[tag]()

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def _tensor(self, value: dict[str, Any]) -> Any:
        import torch

        tensor = torch.from_numpy(self.arrays[value["tensor"]])
        return (tensor.view(torch.bfloat16) if value["bfloat16"] else tensor).to(self._place(value["device"]))

    def object(self, number: int) -> Any:
        return self._made[number] if number in self._made else self._object(number, **self.objects[number])

    def _object(self, number: int, state: dict[str, Any], **named: str) -> Any:
        name = named["class"]
        if name not in CLASSES:
            raise ValueError(f"{name!r} is no class that a file may name")
        kind = getattr(import_module(CLASSES[name]), name)
        if hasattr(kind, "from_saved_state") or hasattr(kind, "state_dict") or issubclass(kind, tuple):
            parts = {key: self(part) for key, part in state.items()}
            self._made[number] = _built(kind, parts)
            return self._made[number]
        made = self._made[number] = kind.__new__(kind)  # first, because its parts may refer to it
        parts = {key: self(part) for key, part in state.items()}
        getattr(made, "__setstate__", made.__dict__.update)(parts)
        getattr(made, "__post_init__", lambda: None)()
        return made


def _built(kind: Any, parts: dict[str, Any]) -> Any:
    if hasattr(kind, "from_saved_state"):
        return kind.from_saved_state(parts)
    if issubclass(kind, tuple):
        if set(parts) != set(kind._fields):
            raise ValueError(f"its {kind.__name__} is of another version of ot_latent: fit and save it anew")
        return kind(**parts)
    return network(kind, parts["config"], parts["weights"]).train(parts["training"])
