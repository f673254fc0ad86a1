"""Table 2 of Agustsson et al. (2019) for any generator: does an operation cost quality?

Images are generated from random samples of the prior and from the results of operations on other
samples, scored chunk by chunk, and compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ot_latent._arrays import count, number, progress_bar
from ot_latent._loop import available, over
from ot_latent._storage import as_path
from ot_latent.operations import combine, slerp
from ot_latent.priors.product import as_prior
from ot_latent.scores.evaluation_state import EvaluationState, Tally
from ot_latent.scores.evaluation_table import Evaluation, evaluation
from ot_latent.scores.images import unit_images
from ot_latent.scores.inception import BLOCKS

if TYPE_CHECKING:
    from ot_latent.priors.laws import AnyPrior, PointPrior
    from ot_latent.scores.scorers import Scorer

RANDOM = "random"
_AHEAD = 64  # chunks that wait for their turn: 128 MB of features of Inception v3
_PROBES = 4  # rows of each operation that stand for the generator when a run resumes: cheap beside any n


@dataclass(frozen=True)
class Operation:
    """An operation to evaluate.

    Attributes
    ----------
    points : int
        How many latent points it takes.
    apply : callable
        ``apply(zs, prior)``: float64 points (points, n, d) and their prior -> latents (n, d).
    """

    points: int
    apply: Callable[[np.ndarray, Any], np.ndarray]

    def __post_init__(self) -> None:
        count(self.points, "points")
        if not callable(self.apply) or isinstance(self.apply, type):
            raise TypeError(f"apply must be a function of points and their prior, got {self.apply!r}")


# functions of the module, not of a scope, so that operations can be pickled
def _first(zs: np.ndarray, prior: Any) -> np.ndarray:
    return zs[0]


def _halfway(zs: np.ndarray, prior: Any) -> np.ndarray:
    return slerp(zs[0], zs[1], 0.5)


def _mean(zs: np.ndarray, prior: Any) -> np.ndarray:
    return combine(zs, [1 / len(zs)] * len(zs), prior)


def _linear_mean(zs: np.ndarray, prior: Any) -> np.ndarray:
    return _mean(zs, None)


#: The rows of Table 2, and SLERP.
OPERATIONS = {
    RANDOM: Operation(1, _first),
    "2-point linear": Operation(2, _linear_mean),
    "2-point SLERP": Operation(2, _halfway),
    "2-point matched": Operation(2, _mean),
    "4-point linear": Operation(4, _linear_mean),
    "4-point matched": Operation(4, _mean),
}


def evaluate_operations(
    generator: Callable[[torch.Tensor], torch.Tensor],
    prior: AnyPrior,
    scorer: Scorer,
    n: int = 50_000,
    operations: Iterable[str] | Mapping[str, Operation] = tuple(OPERATIONS),
    *,
    dimension: int | Sequence[int] | None = None,
    seed: int = 0,
    resume: str | Path | None = None,
    save_every: float = 30,
    batch: int = 250,
    device: str | torch.device = "cpu",
    executor: Executor | None = None,
) -> Evaluation:
    """Inception Scores of images from random samples and from operations (Agustsson et al., Table 2).

    Each operation's score is compared with that of random samples: relative change with its 95 %
    interval, the p-value of "no change", and the smallest change that this test finds with 95 %
    power, without which "not significant" says nothing. Operations share their points; random
    samples are others, so that each comparison is of two independent samples of n.

    Memory does not grow with n: what is kept are sums of probabilities and moments of features.

    Parameters
    ----------
    generator : callable
        Latents (rows, dimension), torch float32 on `device` -> images (rows, channels, height, width)
        in [0, 1]; in evaluation mode. For other shapes or ranges wrap it:
        ``lambda z: (G(z[:, :, None, None]) + 1) / 2``.
    prior : law
        Any prior of this library, or a sequence of laws.
    scorer : Scorer
        `scorers.Classifier`, `scorers.InceptionV3`, or your own.
    n : int
        Images of each row, at least 200.
    operations : names of `OPERATIONS`, or a mapping of names to `Operation`
        Random samples always come first.
    dimension : int or sequence of int
        Of the latent space; not needed where the prior knows it (`Product`, `Sphere`, ...). A shape, such as
        (4, 64, 64), where the generator takes latents (rows, 4, 64, 64): a point is all of its numbers.
    seed : int
        Latents come from numpy's generator whatever the device. Torch's generator is seeded, too, for
        generators that add noise, and left as it was.
    resume : path, optional
        A file in which the state is kept, written atomically. A run that was killed and is called
        again goes on from there, and ends bit for bit as if it had not been. A complete one returns
        at once.
    save_every : float
        Seconds between two writes of the state, which has hundreds of megabytes under Inception v3.
    batch : int
        Latents that go through the generator at a time.
    device : torch device
        Where the generator is; the scorer knows its own.
    executor : concurrent.futures.Executor, optional
        Computes the chunks, such as a `ProcessPoolExecutor` or the ``get_executor()`` of a client of
        dask.distributed; the result is bit for bit that of one process of as many threads. Generator, scorer and
        operations are pickled for every chunk: a large network is better loaded by a function of a module,
        which goes by its name.

    Raises
    ------
    ValueError
        If an argument is out of range; images or latents do not have the shape or the range above; or
        `resume` holds the state of another run.
    TypeError
        If images are no floating tensor, or the scorer is none.

    References
    ----------
    Agustsson et al. (2019), section 4.1. Their scores are under Inception v3.

    Examples
    --------
    >>> from ot_latent import Gaussian, checkpoints, scorers
    >>> ae = checkpoints.load("mnist-ae")
    >>> result = evaluate_operations(
    ...     ae.decode, Gaussian(0, 20), scorers.Classifier("mnist-classifier"), n=200,
    ...     operations=["2-point matched"], dimension=10,
    ... )
    >>> [row.name for row in result.rows]
    ['random', '2-point matched']
    """
    law, chosen = as_prior(prior), _chosen(operations)
    n, seed, batch = count(n, "n", BLOCKS), count(seed, "seed", 0), count(batch, "batch")
    save_every, mapped = number(save_every, "save_every", 0), over(executor, _AHEAD)
    if not callable(generator) or isinstance(generator, type):
        raise TypeError(f"generator must be a function from latents to images, got {generator!r}")
    if lacking := [name for name in ("name", "features", "probabilities") if not hasattr(scorer, name)]:
        raise TypeError(
            f"scorer must have {', '.join(lacking)}, {type(scorer).__name__} has not: wrap a network "
            "in scorers.Classifier"
        )
    samples = _Samples(generator, law, scorer, chosen, _shape(law, dimension), seed, available(device))
    probes = {name: samples.features(name, 0, _PROBES) for name in chosen}
    classes = scorer.probabilities(probes[RANDOM]).shape[1]
    tallies = {
        name: Tally(n, classes, features.shape[1], halves=2 if name == RANDOM else 1)
        for name, features in probes.items()
    }
    settings = {"n": n, "seed": seed, "batch": batch, "scorer": scorer.name}
    state = EvaluationState(
        None if resume is None else as_path(resume, "resume"), settings, probes, tallies, save_every
    )

    sizes = [min(batch, n - start) for start in range(0, n, batch)]
    done = state.restore()
    images, before = n * len(chosen), sum(sizes[:done]) * len(chosen)
    todo = [(name, chunk, sizes[chunk]) for chunk in range(done, len(sizes)) for name in chosen]
    with progress_bar("scoring", images, before, "images") as bar:
        # in order, because sums of floating numbers depend on it
        for (name, chunk, size), found in zip(todo, mapped(samples.scored, todo), strict=True):
            tallies[name].update(*found, chunk)
            bar.update(size)
            if name == list(chosen)[-1]:
                state.save(chunk + 1, complete=chunk + 1 == len(sizes))
    return evaluation(tallies, RANDOM, scorer.name, seed)


def _chosen(operations: Iterable[str] | Mapping[str, Operation]) -> dict[str, Operation]:
    """The operations by name, random samples first."""
    if not isinstance(operations, Iterable):
        raise TypeError(f"operations must be names, or a mapping of names to Operation, got {operations!r}")
    if not isinstance(operations, Mapping):
        names = [operations] if isinstance(operations, str) else list(operations)
        if unknown := [name for name in names if name not in OPERATIONS]:
            raise ValueError(f"operations must be among {list(OPERATIONS)}, got {unknown}")
        operations = {name: OPERATIONS[name] for name in names}
    if wrong := [name for name, operation in operations.items() if not isinstance(operation, Operation)]:
        raise TypeError(f"operations must map names to Operation(points, apply), which {wrong} have not")
    return {RANDOM: OPERATIONS[RANDOM]} | {name: operation for name, operation in operations.items() if name != RANDOM}


def _shape(prior: PointPrior, dimension: int | Sequence[int] | None) -> tuple[int, ...]:
    """Of one latent point, as the generator takes it."""
    known = getattr(prior, "d", None)
    if dimension is None:
        if known is None:
            raise ValueError(f"dimension must be given: {prior!r} is the law of one coordinate")
        return (known,)
    shape = tuple(count(size, "dimension") for size in (dimension if isinstance(dimension, Sequence) else [dimension]))
    if known not in (None, math.prod(shape)):
        raise ValueError(f"dimension is {dimension}, but the prior has {known} coordinates")
    return shape


@dataclass(frozen=True)
class _Samples:
    """Features of generated images, chunk by chunk; each chunk can be had by itself, again and again."""

    generator: Callable[[torch.Tensor], torch.Tensor]
    prior: PointPrior
    scorer: Scorer
    operations: dict[str, Operation]
    shape: tuple[int, ...]
    seed: int
    device: torch.device

    def scored(self, name: str, chunk: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Features, and the probabilities of classes, of a chunk."""
        features = self.features(name, chunk, rows)
        return features, self.scorer.probabilities(features)

    def features(self, name: str, chunk: int, rows: int) -> np.ndarray:
        """Of the first rows of a chunk of an operation, (rows, d)."""
        # random samples are stream 0, the points of all operations are streams 1, 2, ...
        operation, shape, first = self.operations[name], (rows, math.prod(self.shape)), 0 if name == RANDOM else 1
        streams = range(first, first + operation.points)
        points = [self.prior.sample(shape, np.random.default_rng((self.seed, chunk, i))) for i in streams]
        latents = np.asarray(operation.apply(np.stack(points), self.prior))
        if latents.shape != shape or not np.isfinite(latents).all():
            raise ValueError(
                f"operation {name!r} must give finite latents of shape {shape}, "
                f"got {latents.dtype} of shape {latents.shape}"
            )
        z = torch.from_numpy(latents).float().to(self.device).reshape(rows, *self.shape)
        seed = int(np.random.SeedSequence((self.seed, chunk, first)).generate_state(1)[0])
        # generators may add noise of their own: seed torch, and leave no trace
        with torch.inference_mode(), torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            images = unit_images(self.generator(z), "images of the generator")
        if len(images) != rows:
            raise ValueError(f"generator must return {rows} images for {rows} latents, got {len(images)}")
        return self.scorer.features(images)
