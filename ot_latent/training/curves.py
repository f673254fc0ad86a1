"""Loss curves of a training run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ot_latent._storage import write_atomically


def draw_losses(title: str, log: Path) -> None:
    """Draw the losses of a run's log, beside it, as ``losses.png``; nothing where there is no log yet."""
    if log.is_file() and (lines := log.read_text(encoding="utf-8").splitlines()):
        figure = loss_curves(title, [json.loads(line) for line in lines])
        write_atomically(log.with_name("losses.png"), lambda file: figure.savefig(file, format="png", dpi=150))


def loss_curves(title: str, log: list[dict[str, Any]]) -> Figure:
    """A figure of the losses of a training run, one panel each.

    Parameters
    ----------
    title : str
    log : list of dict
        Of each epoch its number, "epoch", or of some iterations the last one's, "iteration", and then the
        mean of each loss.
    """
    unit, *names = log[0]
    marker = "." if len(log) < 100 else None
    figure = Figure(figsize=(3.6 * len(names), 2.8), layout="constrained")
    for ax, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        losses = [line[name] for line in log]
        ax.plot([line[unit] for line in log], losses, marker=marker)
        steep = 0 < 100 * min(losses) < max(losses)
        ax.set(xlabel=unit, title=name, yscale="log" if steep else "linear")
    figure.suptitle(title)
    return figure
