"""From what an evaluation has counted to its numbers and its table."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scipy import stats
from tabulate import tabulate

from ot_latent.scores.evaluation_state import Tally
from ot_latent.scores.frechet import frechet_distance

_LEVEL, _POWER = 0.05, 0.95
_ROUNDING = 1e-12  # no log of a score is known better than rounding errors allow
_COLUMNS = ("operation", "Inception Score", "change", "95 % interval", "p", "would find", "equal within", "FID")


@dataclass(frozen=True)
class Change:
    """A score against that of random samples.

    Attributes
    ----------
    relative : float
        score / score of random samples - 1, of all images as one split.
    interval : (low, high)
        95 %.
    p_value : float
        Of "the score equals that of random samples", two-sided.
    detectable : float
        The smallest relative change, up or down, that the test at level 5 % finds with 95 % power.
    """

    relative: float
    interval: tuple[float, float]
    p_value: float
    detectable: float

    @property
    def within(self) -> float:
        """The smallest margin within which two one-sided tests (TOST) at level 5 % find the scores equal.

        References
        ----------
        Schuirmann (1987), J. Pharmacokinet. Biopharm. 15(6).
        """
        step, last = math.log1p(self.relative), math.log1p(self.interval[1])
        # what is found with 95 % power lies beyond both critical values: that of the interval, and the one-sided
        return math.expm1(abs(step) + math.log1p(self.detectable) - (last - step))


@dataclass(frozen=True)
class OperationScore:
    """One row of the table.

    Attributes
    ----------
    name : str
    inception, deviation : float
        Inception Score as Salimans et al. report it: mean and standard deviation over ten splits.
    overall : float
        The score of all images as one split.
    change : Change or None
        None for random samples themselves.
    frechet : float or None
        Squared Fréchet distance to the random samples; for these, what as many other random samples
        would have. None where there are too few images for the number of features.
    """

    name: str
    inception: float
    deviation: float
    overall: float
    change: Change | None
    frechet: float | None


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate_operations` found; prints as a table.

    Attributes
    ----------
    rows : tuple of OperationScore
        Random samples first. ``evaluation["2-point matched"]`` is a row, too.
    scorer : str
    n, seed : int
    """

    rows: tuple[OperationScore, ...]
    scorer: str
    n: int
    seed: int

    @classmethod
    def of(cls, record: dict[str, Any]) -> "Evaluation":
        """From the plain values that `dataclasses.asdict` makes, also after a trip through JSON."""
        rows = []
        for values in record["rows"]:
            change = values["change"]
            if change is not None:
                change = Change(**change | {"interval": tuple(change["interval"])})
            rows.append(OperationScore(**values | {"change": change}))
        return cls(**record | {"rows": tuple(rows)})

    def __getitem__(self, name: str) -> OperationScore:
        rows = {row.name: row for row in self.rows}
        if name not in rows:
            raise KeyError(f"{name!r}; there are {list(rows)}")
        return rows[name]

    def table(self) -> str:
        """The table as text, with what its columns mean."""
        return "\n".join(self._parts("plain", str))

    __str__ = __repr__ = table

    def _repr_markdown_(self) -> str:
        return "\n\n".join(self._parts("github", _escaped))

    def _parts(self, style: str, shown: Callable[[str], str]) -> tuple[str, str, str]:
        cells = [
            (
                shown(row.name),
                f"{row.inception:.3f} ± {row.deviation:.3f}",
                *_change_cells(row.change),
                "-" if row.frechet is None else f"{row.frechet:.3g}",
            )
            for row in self.rows
        ]
        return (
            f"Under {shown(self.scorer)}; {self.n:,} images a row, seed {self.seed}.",
            tabulate(cells, _COLUMNS, style, disable_numparse=True),
            "Inception Score: mean ± sd of 10 splits. Change against random samples, of all images "
            "as one split. p: of no change. Would find: the smallest change found with 95 % power "
            "at level 5 %. Equal within: the smallest margin within which two one-sided tests at level 5 % "
            "find equal scores. FID: to the random samples; in their own row, what as many other random "
            "samples would have.",
        )


def _escaped(name: str) -> str:
    """A name that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_\[\]<>|~$&])", r"\\\1", " ".join(name.split()))


def _change_cells(change: Change | None) -> tuple[str, ...]:
    if change is None:
        return ("",) * 5
    low, high = change.interval
    return (
        f"{change.relative:+.2%}",
        f"{low:+.2%} to {high:+.2%}",
        f"{change.p_value:.3f}" if change.p_value >= 0.001 else "< 0.001",
        f"{change.detectable:.2%}",
        f"{change.within:.2%}",
    )


def evaluation(tallies: dict[str, Tally], random: str, scorer: str, seed: int) -> Evaluation:
    """The numbers of complete tallies; `random` names that of random samples."""
    rows = tuple(
        OperationScore(
            name,
            *tally.inception.score(splits=10),
            math.exp(tally.inception.log_score()[0]),
            None if name == random else _change(tally, tallies[random]),
            _distance(tally, tallies[random]),
        )
        for name, tally in tallies.items()
    )
    return Evaluation(rows, scorer, tallies[random].inception.n, seed)


def _change(tally: Tally, random: Tally) -> Change:
    """Welch's test of the logs of two scores, whose errors come from blocks of images."""
    blocks = len(random.inception.counts)
    (log, error), (log_random, error_random) = (
        (value, max(error, _ROUNDING)) for value, error in (t.inception.log_score() for t in (tally, random))
    )
    step, scale = log - log_random, math.hypot(error, error_random)
    spreads = error * math.sqrt(blocks), error_random * math.sqrt(blocks)
    test = stats.ttest_ind_from_stats(log, spreads[0], blocks, log_random, spreads[1], blocks, equal_var=False)
    freedom = (blocks - 1) * scale**4 / (error**4 + error_random**4)
    critical = stats.t.isf(_LEVEL / 2, freedom)
    half = critical * scale
    return Change(
        math.expm1(step),
        (math.expm1(step - half), math.expm1(step + half)),
        float(test.pvalue),
        math.expm1((critical + stats.t.isf(1 - _POWER, freedom)) * scale),
    )


def _distance(tally: Tally, random: Tally) -> float | None:
    first, second = random.halves
    if min(first.count, second.count) <= len(first.mean):
        return None  # singular covariances: the bias is not a constant over n
    if tally is random:
        # biased by a constant over n, like every distance between sets of one law: half of it
        return frechet_distance(first, second) / 2
    return frechet_distance(tally.moments(), random.moments())
