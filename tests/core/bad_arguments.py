"""Bad arguments for every public function, made from its signature, and what becomes of a call with one of them.

As a program it tries them all and prints what was found: python tests/core/bad_arguments.py [a part of the name]
"""

import collections
import inspect
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
import public
import scipy.stats
import torch

import ot_latent as otl
from ot_latent import brenier, models, scores

RNG = np.random.default_rng(0)
POINTS, WIDE = RNG.standard_normal((40, 2)), RNG.standard_normal((40, 8))
TENSOR = torch.from_numpy(POINTS).float()
IMAGES = torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(0))
LAW, TARGET = otl.Uniform(), otl.Gaussian()
OT = otl.SemiDiscreteOT(tolerance=0.5).fit(POINTS)
LATENT = otl.LatentTransport(iterations=2, batch=4, layers=2, width=4).fit(POINTS)
NETWORK, AUTOENCODER = brenier.Potential(2, 2, 4), models.autoencoders.VAE(2, 2)
CLASSIFIER = models.checkpoints.load("mnist-classifier")

#: A value that is right for every argument of this name; arguments that may be left out are, unless it is their turn.
GOOD: dict[str, Any] = {
    "z": POINTS,
    "z1": POINTS,
    "z2": POINTS[::-1],
    "z3": POINTS + 1,
    "zs": [POINTS, POINTS[::-1]],
    "t": 0.5,
    "eps": 0.1,
    "steps": 2,
    "prior": TARGET,
    "laws": [TARGET, LAW],
    "weights": [0.5, 0.5],
    "x": POINTS,
    "y": POINTS + 1,
    "p": 0.5,
    "q": 0.5,
    "shape": (5, 2),
    "source": LAW,
    "target": TARGET,
    "codes": POINTS,
    "values": POINTS,
    "points": TENSOR,
    "n": 400,
    "d": 3,
    "law": scipy.stats.laplace(),
    "norm": scipy.stats.halfnorm(),
    "covariance": np.eye(2),
    "scatter": np.eye(2),
    "mean": 0.0,
    "count": 5,
    "noise": TENSOR,
    "rng": 0,
    "like": POINTS,
    "correlation": 0.5,
    "phi": torch.zeros(40),
    "weight": 0.5,
    "matched": TENSOR,
    "moved": TENSOR,
    "potential": NETWORK,
    "iterations": 2,
    "learning_rate": 0.01,
    "rows": 10,
    "v": POINTS,
    "seed": 0,
    "dim": 2,
    "inputs": 2,
    "outputs": 2,
    "images": IMAGES,
    "latent_dim": 2,
    "width": 2,
    "channels": 1,
    "side": 64,
    "first": WIDE,
    "second": WIDE + 1,
    "samples": WIDE,
    "reference": WIDE + 1,
    "training": WIDE,
    "held_out": WIDE - 1,
    "probabilities": np.full((400, 3), 1 / 3),
    "features": WIDE,
    "successes": 3,
    "trials": 9,
    "cloud": POINTS,
    "centers": POINTS[:3],
    "reach": 0.5,
    "name": "mnist-vae",
    "model": AUTOENCODER,
    "classifier": CLASSIFIER,
    "critic": NETWORK,
    "data": IMAGES,
    "decoded": IMAGES,
    "variance": 1.0,
    "log_variance": torch.zeros(40, 2),
    "generator": models.generators.load("mnist-vae"),
    "scorer": scores.scorers.Classifier(),
    "tolerance": 0.5,
    "temperature": 0.5,
    "batch": 4,
    "classes": 3,
    "device": "cpu",
    "method": "minibatch",
    "state": {},
    "clouds": {"a": WIDE},
    "size": 8,
    "path": "missing",
    "obj": TARGET,
    "value": 1.0,
    "padding": 2,
    "vectors": torch.zeros(4, 2),
    "labels": torch.zeros(4, dtype=torch.long),
    "functions": [np.sin],
    "index": np.zeros(2, int),
    "half_widths": (1.0, 2.0, 3.0),
    "center": 0.0,
    "wide": 2.0,
    "narrow": 1.0,
    "network": NETWORK,
    "before": 4,
    "after": 4,
    "scale": "smoke",
    "radial": otl.Ball(2),
    "radius": 1.0,
    "angle": 0.7,
    "level": 0.01,
    "slope": 0.1,
    "directions": 1,
    "random_state": 0,
    "max_steps": 50,
    "hidden": 1,
    "layers": 2,
    "low": -1.0,
    "high": 1.0,
    "std": 1.0,
    "axes": 1,
    "heights": np.zeros(40),
    "dimension": 10,
    "blocks": 200,
    "splits": 10,
    "parts": 4,
    "block": 20,
    "split": "train",
    "gradient_weight": 0.5,
    "start": (0.0, 1.0),
    "goal": (0.0, 2.0),
    "apply": np.sum,
    "save_seconds": 30.0,
    "save_every": 30.0,
    "a": np.ones(40),
    "b": np.ones(40),
    "noise_law": LAW,
    "penalty": 10.0,
    "noise_dim": 2,
}

#: Where a name means something else.
OWN: dict[str, dict[str, Any]] = {
    "priors.radial.Ball": {"d": 3},
    "Codes.correction": None,
    "Gaussian.combine": {},
    "LawPerEntry": {"laws": (LAW, TARGET)},
    "Product.apply": {"functions": [np.sin, np.cos]},
    "Product.spread": {"values": [0.0, 1.0]},
    "combine": {"zs": [POINTS, POINTS[::-1]]},
    "LatentTransport.sample": {"n": 5},
    "minibatch_problem": {"step": 0},
    "gaussian_divergence": {"mean": TENSOR},
    "negative_log_likelihood": {},
    "pot": {"codes": TENSOR},
    "aae": {"codes": TENSOR},
    "avb": {"codes": TENSOR},
    "decode": {"codes": TENSOR},
    "Autoencoder.decode": {"codes": TENSOR},
    "objectives": {"first": TENSOR, "second": TENSOR + 1},
    "intervals": {"first": np.ones(9) + RNG.random(9), "second": np.ones(9) + RNG.random(9)},
    "predictions": {"features": np.zeros((3, CLASSIFIER.head.in_features), np.float32)},
    "Classifier.probabilities": {"features": np.zeros((3, CLASSIFIER.head.in_features), np.float32)},
    "from_moments": {"mean": np.zeros(2)},
    "memorisation": {},
    "nearest_distances": {"x": WIDE},
    "path_metrics": {"path": np.stack([WIDE, WIDE + 1, WIDE + 3]), "start": WIDE, "goal": WIDE + 3, "features": None},
    "transport_report": {"codes": WIDE, "held_out": WIDE + 0.1, "block": 20},
    "Generator.sample": {"shape": (3,)},
    "circulation": None,
    "Operation": {"points": 2},
    "eight_gaussians": {"n": 8},
    "gaussian_grid": {"n": 25},
    "swiss_roll": {"n": 5},
    "require_power": {"p": 2},
    "cost": {"p": 2},
    "checkpoints.load": {"weights": "mnist-vae"},
    "generators.load": {"weights": "mnist-vae"},
    "weights_hash": {"name": "mnist-vae"},
    "read_card": {"weights": models.checkpoints.shipped("mnist-vae")},
    "random_walk": {"prior": TARGET},
    "vicinity": {"prior": TARGET},
    "references": {"name": "mnist"},
    "files": {"name": "mnist"},
    "loaders.get": {"name": "mnist"},
    "run_folder": {"name": "mnist-vae"},
    "interval_heights": None,
    "scorers.fitted": {"side": 32},
    "operations.combine": {"prior": TARGET},
    "saved.load": {"path": Path(__file__).parent / "saved_1" / "prior.safetensors"},
    "operations.interpolate": {"prior": TARGET},
    "evaluate_operations": {"n": 200, "dimension": 10},
    "to_square": {"images": np.zeros((2, 9, 9, 3), np.uint8)},
    "inference.encode": {"images": np.zeros((2, 64, 64), np.uint8)},
    "frechet_bias": {"samples": np.tile(WIDE, (4, 1)) + 0.1, "parts": 4},
    "FeatureStatistics.merge": {"other": scores.FeatureStatistics(8)},
    "objectives.avb": None,
}

#: What is left out, and why.
LEFT_OUT = {
    "results that calls return, not inputs": "KantorovichSolution PriorCheck Inverse Gain Trial Evaluation "
    "OperationScore "
    "FrechetBias Memorisation PathMetrics Change Estimate DataFile DataSet Recipe ToyRecipe TransportRecipe "
    "Reference Setting",
    "at work inside a call": "Regression Training Ascent DebiasedSemiDiscrete LawPerEntry SumOfCodes Correction "
    "CodesMap Loop SemiDual Cells",
    "the way back from a file, see test_saved.py": "from_saved_state saved_state",
    "trains, downloads or writes": "fit_images fit_codes ImageModel Plan "
    "train keep_codes keep_mapped_noise mapped_noise encoded_images measure save celeba cifar10 fairface "
    "lld_icons logos "
    "lsun_bedrooms mnist training_images image_folder prepared toy_problem real_moments InceptionV3 EfficientNetLite0",
    "what a network is asked by the loop that trains it; torch names the shapes": "forward loss critic_loss "
    "posterior draw "
    "ResidualBlock Residual JoinedNetwork frozen code_critic",
    "laws that combine makes": "Trapezoid UniformSum",
    "protocols": "Law Prior Distribution Scorer FeatureExtractor",
    "only asked by other functions, which check": "config map_to for_points MonotoneMap ScaledMap "
    "apply spread "
    "departure whitened correction map_of_points require_power minibatch_problem bend shifted",
}
_LEFT_OUT = {name for names in LEFT_OUT.values() for name in names.split()}

#: Values by kind, and the annotations for which a kind may be right.
ARRAYS = {
    "text": "x",
    "none": None,
    "nan": np.full((40, 2), np.nan),
    "complex": np.full((40, 2), 1j),
    "ragged": [[1.0], [1.0, 2.0]],
    "strings": np.array(["a", "b"]),
    "object": object(),
    "masked": np.ma.masked_array(POINTS, POINTS > 0),
    "dict": {"a": 1},
    "other shape": np.zeros((3, 5, 7)),
    "nothing": np.zeros((0, 2)),
    "sparse": scipy.sparse.eye_array(3),
    "set": {1.0},
}
NUMBERS = {
    "text": "x",
    "none": None,
    "nan": float("nan"),
    "infinite": float("inf"),
    "complex": 1j,
    "object": object(),
    "list": [1, 2],
    "negative": -1,
    "huge": 10**400,
    "array": np.zeros((2, 3)),
    "bool": True,
    "half": 2.5,
    "numeral": "3",
    "zero": 0,
}
THINGS = {"number": 5, "text": "x", "none": None, "object": object(), "list": [], "class": int, "array": np.zeros(3)}

_ARRAY_NAMES = (
    "z z1 z2 z3 zs weights x y codes values points noise like covariance phi matched moved first second "
    "samples reference "
    "training held_out probabilities features cloud centers images data decoded log_variance vectors "
    "labels a b heights v"
).split()
_NUMBER_NAMES = (
    "t eps steps p q n d count weight iterations learning_rate rows seed dim inputs outputs latent_dim "
    "width channels side "
    "successes trials reach variance tolerance batch classes size padding center wide narrow before "
    "after radius angle level "
    "slope directions random_state max_steps hidden layers low high std axes dimension blocks splits parts block "
    "gradient_weight save_seconds save_every penalty noise_dim mean temperature"
).split()


class Case(NamedTuple):
    """A call with one bad argument."""

    name: str
    argument: str
    kind: str
    call: Callable[[], Any]
    good: Callable[[], Any]


def _instances() -> dict[type, Any]:
    """Objects on which methods are called."""
    return {
        otl.Gaussian: TARGET,
        otl.Uniform: LAW,
        otl.Product: otl.Product([LAW, TARGET]),
        otl.Radial: otl.Ball(2),
        otl.Elliptical: otl.Elliptical(otl.Ball(2), 0, np.eye(2)),
        otl.MultivariateGaussian: otl.MultivariateGaussian(0, np.eye(2)),
        otl.ScipyPrior: otl.ScipyPrior(scipy.stats.t(3)),
        otl.SemiDiscreteOT: OT,
        otl.LatentTransport: LATENT,
        otl.Codes: otl.Codes(POINTS, directions=0),
        otl.MonotoneMap: otl.monotone_map(LAW, TARGET),
        models.generators.Generator: GOOD["generator"],
        scores.FeatureStatistics: scores.FeatureStatistics(8),
        scores.scorers.Classifier: GOOD["scorer"],
        scores.InceptionStatistics: scores.InceptionStatistics(400, 3),
        scores.LocalDetail: scores.LocalDetail(),
        models.autoencoders.Autoencoder: AUTOENCODER,
        otl.codes.SumOfCodes: otl.Codes(POINTS, directions=0).combine([1.0, 1.0]),
        otl.monotone.ScaledMap: otl.monotone_map(TARGET, otl.Gaussian(1, 2)),
        otl.priors.LawPerEntry: LAW.combine(np.eye(3)),
    }


def callables() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Public functions, constructors and methods, by name."""
    instances = _instances()
    for name, value in public.names().items():
        short = name.removeprefix("ot_latent.")
        if short.startswith("paper.") or value.__name__ in _LEFT_OUT:
            continue
        if not inspect.isclass(value):
            yield short, value
        elif not issubclass(value, BaseException):
            yield short, value
            for method in list(vars(value)):
                if value in instances and not method.startswith("_") and method not in _LEFT_OUT:
                    if isinstance(inspect.getattr_static(value, method), FunctionType | classmethod):
                        yield f"{short}.{method}", getattr(instances[value], method)


def cases() -> Iterator[Case]:
    """Every call with one bad argument."""
    for name, function in callables():
        try:
            parameters = inspect.signature(function).parameters.values()
        except ValueError:
            continue
        own = [values for part, values in OWN.items() if f".{name}.".find(f".{part}.") >= 0]
        if None in own:
            continue
        good = GOOD | {key: value for values in own for key, value in values.items()}
        theirs = {name for values in own for name in values}
        needed = {
            p.name: good.get(p.name)
            for p in parameters
            if (p.default is p.empty or p.name in theirs) and p.kind is not p.VAR_KEYWORD
        }
        for p in parameters:
            if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) or str(p.annotation) in ("bool", "<class 'bool'>"):
                continue
            kinds = ARRAYS if p.name in _ARRAY_NAMES else NUMBERS if p.name in _NUMBER_NAMES else THINGS
            for kind, value in kinds.items():
                if (
                    kind == "none"
                    and (p.default is None or p.name == "rng")
                    or kind == "text"
                    and "str" in str(p.annotation)
                ):
                    continue
                if p.name == "name" and name.endswith("as_prior"):  # says in messages whose law it is
                    continue
                # these are right; the last is a shape, of which the generator speaks
                if (p.name, kind) in {("like", "nan"), ("zs", "ragged"), ("noise", "ragged"), ("dimension", "list")}:
                    continue
                arguments = needed | {p.name: value}
                yield Case(name, p.name, kind, _call(function, arguments), _call(function, needed))


def _call(function: Callable[..., Any], arguments: dict[str, Any]) -> Callable[[], Any]:
    """By position where the function takes it so."""
    parameters = inspect.signature(function).parameters.values()
    fixed = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY]
    return lambda: function(*(arguments[n] for n in fixed), **{k: v for k, v in arguments.items() if k not in fixed})


#: Kinds of which no use can be made: a result is a silent error.
WRONG = {
    "text",
    "none",
    "complex",
    "ragged",
    "strings",
    "object",
    "masked",
    "dict",
    "huge",
    "numeral",
    "sparse",
    "set",
    "class",
}


def outcome(case: Case) -> tuple[str, str]:
    """ "clear", "right", "silent" or "cryptic", and what was said."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            result = case.call()
        except (ValueError, TypeError, FileNotFoundError, KeyError) as error:
            said = str(error)
            names = {case.argument, case.argument.rstrip("s")}
            if case.argument in ("z1", "z2", "z3", "zs", "points"):
                names |= {"z1, z2", "zs", "points", "z"}
            named = any(re.search(rf"\b{re.escape(name)}\b", said) for name in names)
            return ("clear" if named else "cryptic"), f"{type(error).__name__}: {said}"
        except Exception as error:
            return "cryptic", f"{type(error).__name__}: {error}"
    if case.kind in WRONG or (case.kind == "nan" and not _holds_nan(result)):
        return "silent", f"{type(result).__name__}"
    return "right", ""


def _holds_nan(result: Any) -> bool:
    return "nan" in f"{result} {result.tolist() if hasattr(result, 'tolist') else ''}".lower()


def main() -> None:
    """Try them all."""
    part, found = (sys.argv[1:] or [""])[0], collections.Counter()
    for case in cases():
        if part in case.name:
            what, said = outcome(case)
            found[what] += 1
            if what in ("silent", "cryptic"):
                print(what, case.name, case.argument, case.kind, "|", said.replace("\n", " ")[:150], flush=True)
    print(dict(found))


if __name__ == "__main__":
    main()
