"""Table 2 of Agustsson et al. (2019) with the generators that this project ships.

`evaluation.evaluate_operations` does it for any generator; here is which ones, under which scorer, in
whose place in the paper's table, where the results of 50,000 images are kept, and the verdicts on them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from scipy import stats

from ot_latent._storage import checkout, write_atomically
from ot_latent.models import checkpoints, generators
from ot_latent.paper.ledger import PUBLISHED, Measured, measured
from ot_latent.scores.evaluation import OPERATIONS, Operation, evaluate_operations
from ot_latent.scores.evaluation_table import Evaluation, OperationScore
from ot_latent.scores.scorers import Classifier


@dataclass(frozen=True)
class Setting:
    """A column of our table: a generator, and how it is scored.

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
    decoder : str, optional
        Checkpoint of the auto-encoder, where the generator is a potential of AE-OT.
    """

    name: str
    title: str
    scorer: str
    reference: str
    column: str
    data: str
    own_data: bool = False
    decoder: str | None = None


#: The paper's rows by the operations that they are results of.
PAPER_ROWS = {
    "random": "random",
    "2-point linear": "linear2",
    "2-point matched": "matched2",
    "4-point linear": "linear4",
    "4-point matched": "matched4",
}


#: In the order of the paper's columns; where two stand for one column, the first that is shipped does.
SETTINGS = (
    Setting(
        "cifar10-wgan-gp",
        "CIFAR-10, WGAN-GP, Gaussian 128-D",
        "cifar10-classifier",
        "cifar10",
        "cifar10",
        "the paper's data, three of its five batches",
        own_data=True,
    ),
    Setting(
        "icons-dcgan-uniform",
        "icons, DCGAN, uniform 100-D",
        "cifar10-classifier",
        "icons",
        "lldicon",
        "free icons in place of LLD-icon",
    ),
    Setting(
        "mnist-dcgan-uniform",
        "MNIST, DCGAN, uniform 100-D",
        "mnist-classifier",
        "mnist",
        "lsun",
        "MNIST in place of LSUN bedrooms",
    ),
    Setting(
        "mnist-dcgan-gaussian",
        "MNIST, DCGAN, Gaussian 100-D",
        "mnist-classifier",
        "mnist",
        "celeba",
        "MNIST in place of CelebA",
    ),
)


def shipped() -> tuple[Setting, ...]:
    """Those of `SETTINGS` whose weights are here."""
    here = checkpoints.names()
    return tuple(setting for setting in SETTINGS if setting.name in here)


def evaluate(
    setting: Setting,
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
    loaded = generators.load(weights or setting.name, setting.decoder, device)
    state = checkout() / "build" / "evaluations" / f"{setting.name}-{n}-{seed}.npz"
    return evaluate_operations(
        loaded.network,
        loaded.prior,
        Classifier(setting.scorer, device=device),
        n,
        operations,
        dimension=loaded.latent_dim,
        seed=seed,
        resume=state if resume else None,
        device=device,
    )


def keep(setting: Setting, evaluation: Evaluation) -> Path:
    """Write a result into ``data/evaluations``, with the command and the weights that made it."""
    record = {
        "command": f"ot-latent evaluate {setting.name} --n {evaluation.n} --seed {evaluation.seed}",
        "weights": _weights(setting),
        "evaluation": asdict(evaluation),
    }
    path = _kept_path(setting)
    text = json.dumps(record, indent=1) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text))
    return path


def kept(setting: Setting) -> Evaluation:
    """The result that `keep` wrote.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If the generator or its scorer have other weights by now.
    """
    path = _kept_path(setting)
    remedy = f"run `ot-latent evaluate {setting.name}`"
    if not path.is_file():
        raise FileNotFoundError(f"no result is kept for {setting.name}: {remedy}")
    record = json.loads(path.read_text())
    if record["weights"] != _weights(setting):
        raise ValueError(f"{path.name} is the result of other weights than the shipped: {remedy}")
    return Evaluation.of(record["evaluation"])


def _kept_path(setting: Setting) -> Path:
    return checkout() / "data" / "evaluations" / f"{setting.name}.json"


def _weights(setting: Setting) -> dict[str, str]:
    names = (setting.name, setting.decoder, setting.scorer)
    return {name: checkpoints.weights_hash(name) for name in names if name}


def published_ratio(setting: Setting, operation: str) -> tuple[float, float]:
    """The paper's score over that of random samples in the setting's column, and its error."""
    score, random = (
        PUBLISHED[f"agustsson2019.table2.{setting.column}.{row}"] for row in (PAPER_ROWS[operation], "random")
    )
    ratio = score.value / random.value
    return ratio, ratio * math.hypot(score.error / score.value, random.error / random.value)


def numbers(setting: Setting, evaluation: Evaluation) -> Iterator[Measured]:
    """The five numbers of a column beside the paper's.

    Scores of other images under another scorer confirm nothing. On the paper's own data the ratio to
    the score of random samples is compared; where another set stands in, nothing is.
    """
    for operation, paper in PAPER_ROWS.items():
        row = evaluation[operation]
        half = stats.t.isf(0.025, 9) * row.deviation / math.sqrt(10)
        verdict, note = "stand-in data", setting.data
        if setting.own_data:
            verdict, note = _ratio_verdict(setting, row)
        yield measured(
            f"agustsson2019.table2.{setting.column}.{paper}",
            row.inception,
            (row.inception - half, row.inception + half),
            verdict=verdict,
            note=f"{note}; under {evaluation.scorer}",
            data=setting.data,
        )


def _ratio_verdict(setting: Setting, row: OperationScore) -> tuple[str, str]:
    if row.change is None:
        return "needs a GPU run", "a smaller generator, trained for a fraction of the paper's steps"
    ratio, error = published_ratio(setting, row.name)
    low, high = (1 + end for end in row.change.interval)
    verdict = "reproduced in ratio" if low <= ratio + error and ratio - error <= high else None
    return (
        verdict or "not reproduced",
        f"score over that of random samples {1 + row.change.relative:.3f}, in the paper {ratio:.3f} "
        f"± {error:.3f}, of a larger generator under Inception v3",
    )


def claims(setting: Setting, evaluation: Evaluation, columns: int) -> Iterator[Measured]:
    """The paper's two claims on all settings: linear means lose significantly, matched ones do not.

    Of the two numbers of points the one that speaks most against the claim is the witness. The level
    of 5 % is shared among the four tests of each of so many columns.
    """
    for how in ("linear", "matched"):
        changes = [evaluation[f"{points}-point {how}"].change for points in (2, 4)]
        against = max if how == "linear" else min
        witness = against(changes, key=lambda change: change.p_value)
        significant = witness.p_value < 0.05 / (4 * columns)
        loses = significant and witness.relative < 0
        yield measured(
            f"agustsson2019.table2.{how}.{setting.name}",
            witness.relative,
            witness.interval,
            holds=loses if how == "linear" else not significant,
            note=f"p = {witness.p_value:.2g}; a change of {witness.detectable:.1%} would have been "
            f"found; under {evaluation.scorer}",
            data=setting.data,
        )
