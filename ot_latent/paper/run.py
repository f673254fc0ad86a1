"""What every notebook needs: checked parameters, seeds, places for results, and the record of claims."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ot_latent._arrays import choice
from ot_latent._storage import checkout
from ot_latent.paper import figures, ledger
from ot_latent.paper.claims import Interval, claims
from ot_latent.priors.laws import ByValue
from ot_latent.training.devices import check_device, resolve_device
from ot_latent.training.recipes import SCALES

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

T = TypeVar("T")


class Run(ByValue):
    """One execution of a notebook: its parameters, checked, and what follows from them.

    Parameters
    ----------
    name : str
        Name of the notebook, ``"NN_words"``.
    scale : "smoke", "quick" or "paper"
    seed : int
        Not negative.
    train : bool
        Train from scratch instead of loading the shipped weights.
    device : str
        auto, cpu, cuda, cuda:N or mps.
    data_dir : str or None
        Folder of the data sets; None for ``$OT_LATENT_DATA``, then the user's cache.
    figures_dir : str
        Where figures and results go, relative to the folder of the notebooks. What is committed is written by
        `reproduce` and ``make notebooks`` alone: with anything else ``../figures`` is read, and ``build/figures``
        is written.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not what it should be; papermill passes anything on.
    PermissionError
        If ``figures_dir`` cannot be written.

    Examples
    --------
    >>> run = Run("04_perturbation_table", "smoke", 0, False, "cpu", None, "../build/figures")
    >>> run.record("table3.gaussian100.l2", 0.24645, (0.245638, 0.247263))
    """

    def __init__(
        self, name: str, scale: str, seed: int, train: bool, device: str, data_dir: str | None, figures_dir: str
    ) -> None:
        if not re.fullmatch(r"\d\d_\w+", str(name)):
            raise ValueError(f"name must look like '04_perturbation_table', got {name!r}")
        choice(scale, "scale", SCALES)
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise TypeError(f"seed must be an integer >= 0, got {seed!r}")
        if not isinstance(train, bool):
            raise TypeError(f"train must be True or False, got {train!r}")
        check_device(device)
        if not isinstance(data_dir, str | None):
            raise TypeError(f"data_dir must be a path as text or None, got {data_dir!r}")
        if not isinstance(figures_dir, str):
            raise TypeError(f"figures_dir must be a path as text, got {figures_dir!r}")
        self.name, self.scale, self.seed, self.train = name, scale, seed, train
        self.device_request, self.data_dir = device, data_dir
        self._recorded = self.figures_dir = (checkout() / "notebooks" / figures_dir).resolve()
        if self.figures_dir == (checkout() / "figures").resolve() and os.environ.get(ledger.KEEP) != "1":
            self.figures_dir = checkout() / "build" / "figures"
            print("Figures and results of this run go to build/figures; `ot-latent reproduce` makes those to keep.")
        ledger.require_writable(self.figures_dir, "set figures_dir to a folder of yours")
        self._rows: dict[str, ledger.Row] = {}
        self._written: dict[str, ledger.Row] = {}
        figures.use_style()

    def __repr__(self) -> str:
        return f"Run({self.name!r}, scale={self.scale!r}, seed={self.seed}, train={self.train})"

    @property
    def device(self) -> torch.device:
        """The torch device of this run."""
        return resolve_device(self.device_request)

    def at(self, *, smoke: T, quick: T, paper: T) -> T:
        """The one of three values that belongs to the scale of this run."""
        return {"smoke": smoke, "quick": quick, "paper": paper}[self.scale]

    def weights(self, recipe: str) -> Path:
        """Weights of a recipe: the shipped ones, or trained now when the run's ``train`` is True."""
        if self.train:
            from ot_latent.training import train

            return train(recipe, self.scale, self.seed, self.device_request, self.data_dir)
        from ot_latent.models.checkpoints import shipped

        return shipped(recipe)

    def mapped_noise(self, weights: Path, n: int) -> np.ndarray:
        """Codes that two more trainings of a map make of noise, from other seeds than its `weights`: (2, n, d).

        They are kept; or trained now, to the codes of the same networks, when the run's ``train`` is True.
        """
        from ot_latent import training

        more = []
        for seed in (self.seed + 1, self.seed + 2) if self.train else ():
            place = self.device_request, self.data_dir, weights.parent / f"seed-{seed}"
            more.append(training.train(weights.stem, self.scale, seed, *place))
        return training.mapped_noise(weights.stem, more, n, self.device)

    def rng(self, stream: int = 0) -> np.random.Generator:
        """Generator of an independent stream of random numbers; the same one at every call."""
        return np.random.default_rng((self.seed, stream))

    def save(self, figure: Figure, name: str) -> None:
        """Write a figure to ``figures_dir/NN_name.png``."""
        figures.save(figure, self.figures_dir / f"{self.name[:2]}_{name}.png")

    def read_results(self) -> dict[str, Any]:
        """All results that are recorded in ``figures_dir`` as it was given, by notebook; {} before the first."""
        return ledger.read_results(self._recorded)

    def record(
        self,
        key: str,
        value: float,
        interval: Interval | None = None,
        *,
        note: str = "",
        data: str | None = None,
        **quantities: float | Interval,
    ) -> None:
        """Set a number of this run against a claim of the papers; `table` shows and writes what was recorded.

        Parameters
        ----------
        key : str
            Of a claim in ``data/claims``, without the paper where that is clear: "table3.gaussian100.l2".
        value : float
        interval : (low, high), optional
            95 % interval; None where there is none.
        note : str
            What this run has to say of it.
        data : str, optional
            What it was computed on; may be left out where the claim is about random numbers.
        **quantities
            Numbers or intervals that the criterion names, such as ``p_value=0.3``.

        Raises
        ------
        ValueError
            As `ledger.judge`; except that with another seed than 0, or at scale smoke, nothing needs a reason for
            which it is not reproduced.
        """
        claim = claims().find(key)
        if not (note or claim.cause) and (self.scale == "smoke" or self.seed):
            note = "at scale smoke there are too few samples to decide" if self.scale == "smoke" else "with this seed"
        self._rows[claim.key] = ledger.judge(claim, value, interval, note=note, data=data, quantities=quantities)

    def table(self, columns: Sequence[str] | None = None, rows: Iterable[Sequence[Any]] | None = None) -> ledger.Table:
        """A table of ``rows`` under ``columns``; without them, the papers against what this run recorded.

        The latter writes what is new into ``figures_dir/results.json``. Cells are text, numbers
        or (low, high).

        Raises
        ------
        ValueError
            If nothing was recorded, or a row has more or fewer cells than there are columns.
        """
        if columns is not None and rows is not None:
            return ledger.Table(columns, [*rows])
        if columns is not None or rows is not None:
            raise ValueError("a table of your own needs columns and rows")
        if not self._rows:
            raise ValueError("nothing is recorded yet: call run.record first")
        if self._rows != self._written:
            section = {"scale": self.scale, "seed": self.seed, "rows": self._rows}
            ledger.write_results(self.figures_dir, self.name, section)
            self._written = dict(self._rows)
        return ledger.comparison(self._rows)
