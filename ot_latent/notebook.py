"""What every notebook needs: checked parameters, seeds, devices and places for its results."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

SCALES = ("smoke", "quick", "paper")


def checkout() -> Path:
    """Root of the repository, wherever the process was started.

    Raises
    ------
    FileNotFoundError
        If the package was installed without its notebooks.
    """
    root = Path(__file__).resolve().parents[1]
    if not (root / "notebooks").is_dir():
        raise FileNotFoundError(
            f"{root} holds no notebooks: notebooks, figures and checkpoints need a clone of the "
            "repository, installed with `make setup` or `pip install --editable .`"
        )
    return root


def resolve_device(device: str):
    """The torch device that "auto", "cpu", "cuda", "cuda:N" or "mps" names; auto prefers a GPU."""
    check_device(device)
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


def check_device(device: str) -> None:
    """Refuse what `resolve_device` does not know, without importing torch."""
    if not (isinstance(device, str) and re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", device)):
        raise ValueError(f"device must be auto, cpu, cuda, cuda:N or mps, got {device!r}")


class Run:
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
        Where figures and results go, relative to the folder of the notebooks.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not what it should be; papermill passes anything on.
    """

    def __init__(self, name, *, scale, seed, train, device, data_dir, figures_dir) -> None:
        if not re.fullmatch(r"\d\d_\w+", str(name)):
            raise ValueError(f"name must look like '04_perturbation_table', got {name!r}")
        if scale not in SCALES:
            raise ValueError(f"scale must be one of {', '.join(SCALES)}, got {scale!r}")
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
        self.figures_dir = (checkout() / "notebooks" / figures_dir).resolve()
        from ot_latent.figures import use_style

        use_style()

    def __repr__(self) -> str:
        return f"Run({self.name!r}, scale={self.scale!r}, seed={self.seed}, train={self.train})"

    @property
    def device(self):
        """The torch device of this run."""
        return resolve_device(self.device_request)

    def at(self, *, smoke, quick, paper):
        """The one of three values that belongs to the scale of this run."""
        return {"smoke": smoke, "quick": quick, "paper": paper}[self.scale]

    def weights(self, recipe: str) -> Path:
        """Weights of a recipe: the shipped ones, or trained now when the run's ``train`` is True."""
        from ot_latent import checkpoints, training

        if self.train:
            return training.train(recipe, self.scale, self.seed, self.device_request, self.data_dir)
        return checkpoints.shipped(recipe)

    def rng(self, stream: int = 0) -> np.random.Generator:
        """Generator of an independent stream of random numbers; the same one at every call."""
        return np.random.default_rng((self.seed, stream))

    def save(self, figure, name: str) -> None:
        """Write a figure to ``figures_dir/NN_name.png``."""
        from ot_latent.figures import save

        save(figure, self.figures_dir / f"{self.name[:2]}_{name}.png")

    def read_results(self) -> dict:
        """All results that are recorded in ``figures_dir``, by notebook; {} before the first."""
        path = self.figures_dir / "results.json"
        return json.loads(path.read_text()) if path.is_file() else {}
