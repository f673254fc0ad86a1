"""Loss curves of a training run."""

import json
from pathlib import Path

from matplotlib.figure import Figure

from ot_latent._storage import write_atomically


def draw_losses(title: str, log: Path) -> None:
    """Draw the losses of a run's log, one panel each, beside it as ``losses.png``; nothing where there is no log yet.

    Its lines hold of each epoch its number, "epoch", or of some iterations the last one's, "iteration", and
    then the mean of each loss.
    """
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.is_file() else []
    if not lines:
        return
    unit, *names = lines[0]
    marker = "." if len(lines) < 100 else None
    figure = Figure(figsize=(3.6 * len(names), 2.8), layout="constrained")
    for ax, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        losses = [line[name] for line in lines]
        ax.plot([line[unit] for line in lines], losses, marker=marker)
        steep = 0 < 100 * min(losses) < max(losses)
        ax.set(xlabel=unit, title=name, yscale="log" if steep else "linear")
    figure.suptitle(title)
    write_atomically(log.with_name("losses.png"), lambda file: figure.savefig(file, format="png", dpi=150))
