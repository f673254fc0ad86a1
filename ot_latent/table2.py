"""Table 2 of Agustsson et al. (2019) with the generators that this project ships.

`evaluation.evaluate_operations` does it for any generator; here is which ones, under which scorer, in
whose place in the paper's table, and where the results of 50,000 images are kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from ot_latent import checkpoints
from ot_latent.evaluation import OPERATIONS, Evaluation, Operation, evaluate_operations
from ot_latent.notebook import checkout
from ot_latent.priors import Gaussian
from ot_latent.scorers import Classifier


@dataclass(frozen=True)
class Generator:
    """A generator of the table.

    Attributes
    ----------
    name : str
        Of its checkpoint and its recipe.
    title : str
        What tables call it.
    scorer : str
        Checkpoint of the classifier under which it is scored.
    reference : str
        Real images of its kind: a key of `references.REFERENCES`.
    column : str
        The paper's data set whose column it fills, or takes the place in.
    data : str
        What it was trained on, in comparison with the paper's.
    own_data : bool
        Whether that is the paper's own data set.
    """

    name: str
    title: str
    scorer: str
    reference: str
    column: str
    data: str
    own_data: bool = False


#: In the order of the paper's columns; where two stand for one column, the first that is shipped does.
GENERATORS = (
    Generator(
        "cifar10-wgan-gp",
        "CIFAR-10, WGAN-GP, Gaussian 128-D",
        "cifar10-classifier",
        "cifar10",
        "cifar10",
        "the paper's data, three of its five batches",
        own_data=True,
    ),
    Generator(
        "icons-dcgan-uniform",
        "icons, DCGAN, uniform 100-D",
        "cifar10-classifier",
        "icons",
        "lldicon",
        "free icons in place of LLD-icon",
    ),
    Generator(
        "mnist-dcgan-uniform",
        "MNIST, DCGAN, uniform 100-D",
        "mnist-classifier",
        "mnist",
        "lsun",
        "MNIST in place of LSUN bedrooms",
    ),
    Generator(
        "faces-dcgan-gaussian",
        "faces, DCGAN, Gaussian 100-D",
        "cifar10-classifier",
        "faces",
        "celeba",
        "drawn faces in place of CelebA",
    ),
    Generator(
        "mnist-dcgan-gaussian",
        "MNIST, DCGAN, Gaussian 100-D",
        "mnist-classifier",
        "mnist",
        "celeba",
        "MNIST in place of CelebA",
    ),
)


def shipped() -> tuple[Generator, ...]:
    """Those of `GENERATORS` whose weights are here."""
    here = checkpoints.names()
    return tuple(generator for generator in GENERATORS if generator.name in here)


def sampler(weights: str | Path, device: str | torch.device = "cpu") -> tuple:
    """What `evaluate_operations` needs of a trained generator.

    Parameters
    ----------
    weights : name or path
        As for `checkpoints.load`.
    device : torch device

    Returns
    -------
    generate : callable
        (n, dimension) -> images in [0, 1].
    prior : law
    dimension : int
    """
    model = checkpoints.load(weights, device)
    # decoders of auto-encoders are fed with the Gaussian that their codes are held to
    generate = model.generate if hasattr(model, "generate") else model.decode
    return generate, getattr(model, "prior", Gaussian(0, 1)), model.latent_dim


def evaluate(
    generator: Generator,
    n: int = 50_000,
    seed: int = 0,
    operations: Iterable[str] | Mapping[str, Operation] = tuple(OPERATIONS),
    *,
    weights: str | Path | None = None,
    resume: bool = False,
    device: str | torch.device = "cpu",
) -> Evaluation:
    """`evaluate_operations` of a generator under its scorer.

    Parameters
    ----------
    weights : name or path, optional
        As for `checkpoints.load`; by default the shipped ones.
    resume : bool
        Keep the state in ``build/evaluations``, from where a run that was killed goes on.
    """
    generate, prior, dimension = sampler(weights or generator.name, device)
    state = checkout() / "build" / "evaluations" / f"{generator.name}-{n}-{seed}.npz"
    return evaluate_operations(
        generate,
        prior,
        Classifier(generator.scorer, device=device),
        n,
        operations,
        dimension=dimension,
        seed=seed,
        resume=state if resume else None,
        device=device,
    )


def keep(generator: Generator, evaluation: Evaluation) -> Path:
    """Write a result into ``data/evaluations``, with the command and the weights that made it."""
    record = {
        "command": f"ot-latent evaluate {generator.name} --n {evaluation.n} --seed {evaluation.seed}",
        "weights": _weights(generator),
        "evaluation": asdict(evaluation),
    }
    path = _kept_path(generator)
    text = json.dumps(record, indent=1) + "\n"
    checkpoints.write_atomically(path, lambda temporary: temporary.write_text(text))
    return path


def kept(generator: Generator) -> Evaluation:
    """The result that `keep` wrote.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If the generator or its scorer have other weights by now.
    """
    path = _kept_path(generator)
    remedy = f"run `ot-latent evaluate {generator.name}`"
    if not path.is_file():
        raise FileNotFoundError(f"no result is kept for {generator.name}: {remedy}")
    record = json.loads(path.read_text())
    if record["weights"] != _weights(generator):
        raise ValueError(f"{path.name} is the result of other weights than the shipped: {remedy}")
    return Evaluation.of(record["evaluation"])


def _kept_path(generator: Generator) -> Path:
    return checkout() / "data" / "evaluations" / f"{generator.name}.json"


def _weights(generator: Generator) -> dict[str, str]:
    return {name: checkpoints.weights_hash(name) for name in (generator.name, generator.scorer)}
