"""Table 2 of Agustsson et al. (2019) with the generators that this project ships.

`evaluate_operations` does it for any generator; here is which ones, under which scorer, in whose place in
the paper's table, where the results of 50,000 images are kept, and what a run records of them.
"""

import json
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from scipy import stats

from ot_latent._storage import checkout, write_atomically
from ot_latent.models import checkpoints, generators
from ot_latent.paper.claims import claims, paper_ratio
from ot_latent.scores.evaluation import OPERATIONS, Operation, evaluate_operations
from ot_latent.scores.evaluation_table import Evaluation
from ot_latent.scores.scorers import EFFICIENTNET_SHA256, Classifier, EfficientNetLite0


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A column of our table: a generator, and how it is scored.

    Attributes
    ----------
    name : str
        Of its checkpoint and its recipe.
    title : str
        What tables call it.
    scorer : str
        Checkpoint of the classifier under which it is scored, or `IMAGENET`.
    reference : str
        Real images of its kind: a key of `references.REFERENCES`.
    data : str
        What it was trained on; begins with the paper's name where it is the paper's data.
    column : str, optional
        The paper's data set whose column it fills, or takes the place in: cifar10, lldicon, lsun or celeba.
    decoder : str, optional
        Checkpoint of the auto-encoder, where the generator is a potential of AE-OT.
    """

    name: str
    title: str
    scorer: str
    reference: str
    data: str
    column: str | None = None
    decoder: str | None = None


#: The scorer of ImageNet's classes, `EfficientNetLite0`, in place of a checkpoint's name.
IMAGENET = "efficientnet-lite0"

#: The paper's rows by the operations that they are results of.
PAPER_ROWS = {
    "random": "random",
    "2-point linear": "linear2",
    "2-point matched": "matched2",
    "4-point linear": "linear4",
    "4-point matched": "matched4",
}

_TABLES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["setting"]

#: As ``table2.toml`` has them, in the order of the paper's columns, then what the paper has no column for.
SETTINGS = tuple(Setting(**entry) for entry in _TABLES)


def shipped() -> tuple[Setting, ...]:
    """Those of `SETTINGS` whose weights are here."""
    here = checkpoints.names()
    return tuple(setting for setting in SETTINGS if setting.name in here)


def under_imagenet() -> tuple[Setting, ...]:
    """The shipped generators of images in colour, scored under ImageNet's classes as the paper's are."""
    return tuple(replace(setting, scorer=IMAGENET) for setting in shipped() if setting.scorer == "cifar10-classifier")


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
    setting : Setting
    n, seed : int
    operations : names or Operations
        As `evaluate_operations` takes them.
    weights : name or path, optional
        As for `checkpoints.load`; by default the shipped ones.
    resume : bool
        Keep the state in ``build/evaluations``, from where a run that was killed goes on.
    device : torch device
    """
    loaded = generators.load(weights or setting.name, setting.decoder, device)
    scorer = EfficientNetLite0(device) if setting.scorer == IMAGENET else Classifier(setting.scorer, device=device)
    state = checkout() / "build" / "evaluations" / f"{_kept_path(setting).stem}-{n}-{seed}.npz"
    how: dict[str, Any] = {"dimension": loaded.latent_dim, "resume": state if resume else None, "device": device}
    return evaluate_operations(loaded.network, loaded.prior, scorer, n, operations, seed=seed, **how)


def keep(setting: Setting, evaluation: Evaluation) -> Path:
    """Write a result into ``data/evaluations``, with the command and the weights that made it."""
    record = {
        "command": _command(setting, f" --n {evaluation.n} --seed {evaluation.seed}"),
        "weights": _weights(setting),
        "evaluation": asdict(evaluation),
    }
    path = _kept_path(setting)
    text = json.dumps(record, indent=1) + "\n"
    write_atomically(path, text)
    return path


def kept(setting: Setting) -> Evaluation:
    """The result that `keep` wrote.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If the generator or its scorer have other weights by now, or the file is damaged.
    """
    path = _kept_path(setting)
    remedy = f"run `{_command(setting)}`"
    if not path.is_file():
        raise FileNotFoundError(f"no result is kept for {setting.name}: {remedy}")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        weights, evaluation = record["weights"], Evaluation.of(record["evaluation"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error!r}): `git checkout` it, or {remedy}") from error
    if weights != _weights(setting):
        raise ValueError(f"{path.name} is the result of other weights than the shipped: {remedy}")
    return evaluation


def _command(setting: Setting, options: str = "") -> str:
    under = " --imagenet" if setting.scorer == IMAGENET else ""
    return f"ot-latent evaluate {setting.name}{under}{options} --keep"


def _kept_path(setting: Setting) -> Path:
    under = "-imagenet" if setting.scorer == IMAGENET else ""
    return checkout() / "data" / "evaluations" / f"{setting.name}{under}.json"


def _weights(setting: Setting) -> dict[str, str]:
    known = {IMAGENET: EFFICIENTNET_SHA256}
    names = (setting.name, setting.decoder, setting.scorer)
    return {name: known.get(name) or checkpoints.weights_hash(name) for name in names if name}


def published_ratio(setting: Setting, operation: str) -> tuple[float, float]:
    """The paper's score over that of random samples in the setting's column, and its error.

    >>> ratio, error = published_ratio(SETTINGS[0], "4-point linear")  # 5.84 over 7.90
    >>> round(ratio, 3), round(error, 3)
    (0.739, 0.014)
    """
    found = (claims().find(_claim_key(setting, row)) for row in (operation, "random"))
    return paper_ratio(*((claim.value, claim.error) for claim in found))


def numbers(setting: Setting, evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    """What ``run.record(**row)`` takes of a generator's evaluation: the seven numbers of its column.

    These are five Inception Scores and, as the paper prints them, the changes of linear means in per cent.

    Parameters
    ----------
    setting : Setting
        Nothing comes of one without a column.
    evaluation : Evaluation
        Of all operations in `PAPER_ROWS`.
    """
    for operation in PAPER_ROWS if setting.column else ():
        row = evaluation[operation]
        half = stats.t.isf(0.025, 9) * row.deviation / math.sqrt(10)
        key, told = _claim_key(setting, operation), {"data": setting.data, "note": f"under {evaluation.scorer}"}
        yield {
            "key": key,
            "value": row.inception,
            "interval": (row.inception - half, row.inception + half),
            **({"ratio": tuple(1 + end for end in row.change.interval)} if row.change else {}),
            **told,
        }
        if operation.endswith("linear"):
            value, *interval = (100 * change for change in (row.change.relative, *row.change.interval))
            yield {"key": f"{key}.percent", "value": value, "interval": tuple(interval), **told}


def in_all_settings(evaluations: Mapping[str, Evaluation]) -> Iterator[dict[str, Any]]:
    """What ``run.record(**row)`` takes for the paper's two claims about all settings.

    Linear means lose significantly, matched ones are indistinguishable from random samples. Of all generators and
    numbers of points the change that speaks most against a claim is recorded: with its 95 % interval, or with
    the 90 % interval of two one-sided tests at 5 %. Whether a claim holds is decided by ``data/claims``.

    Parameters
    ----------
    evaluations : dict of title to Evaluation
        Of all operations in `PAPER_ROWS`.
    """
    against = {"linear": (1.96, lambda low, high: high), "matched": (1.645, lambda low, high: max(-low, high))}
    for how, (errors, speaks) in against.items():
        found = []
        for title, evaluation in evaluations.items():
            for points in (2, 4):
                change = evaluation[f"{points}-point {how}"].change
                half = errors / 1.96 * (change.interval[1] - change.interval[0]) / 2
                ends = change.relative - half, change.relative + half
                found.append((speaks(*ends), change.relative, ends, f"{title}, {points} points"))
        _, value, interval, worst = max(found)
        data = f"{len(evaluations)} generators: {'; '.join(evaluations)}"
        note = f"worst of {len(found)}: {worst}"
        yield {"key": f"table2.{how}", "value": value, "interval": interval, "data": data, "note": note}


def _claim_key(setting: Setting, operation: str) -> str:
    return f"table2.{setting.column}.{PAPER_ROWS[operation]}"
