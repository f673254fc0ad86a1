"""Figures of notebooks 08 to 13: latent operations, what they cost, and how far they leave the prior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.spatial.distance import cdist

from ot_latent.paper.figures import COLORS, LAWS, image_grid, image_rows

if TYPE_CHECKING:
    from ot_latent.models.generators import Generator
    from ot_latent.paper.claims import Interval
    from ot_latent.paper.table2 import Setting
    from ot_latent.scores.evaluation_table import Change, Evaluation


def changes(settings: Sequence[Setting], evaluations: Mapping[str, Evaluation]) -> Figure:
    """Draw the change of the score that each operation makes, by setting, with the paper's as crosses."""
    from ot_latent.paper import table2

    names = [row.name for row in evaluations[settings[0].name].rows if row.change]
    fig, ax = plt.subplots(figsize=(9.5, 1.1 + 1.05 * len(settings)))
    for row, setting in enumerate(settings):
        ax.axhline(row - 0.5, color="0.85", lw=1, zorder=0)
        for place, name in zip(row + np.linspace(-0.32, 0.32, len(names)), names, strict=True):
            change, (points, way) = evaluations[setting.name][name].change, name.split()
            style = {"fmt": "o" if points == "2-point" else "s", "ms": 7, "capsize": 3, "color": COLORS[way.lower()]}
            off = np.abs(np.subtract(change.interval, change.relative))
            ax.errorbar(100 * change.relative, place, xerr=100 * off[:, None], **style, label=name)
            if setting.column and name in table2.PAPER_ROWS:
                ratio, _ = table2.published_ratio(setting, name)
                ax.plot(100 * (ratio - 1), place, "x", color="0.4", ms=9, mew=2, label="the paper's")
    ax.axvline(0, color=COLORS["prior"], linewidth=1, zorder=0)
    papers = {"cifar10": "CIFAR-10", "lldicon": "LLD-icon", "lsun": "LSUN", "celeba": "CelebA"}
    titles = [setting.title.replace(", ", "\n", 1) for setting in settings]
    for row, setting in enumerate(settings):
        if setting.column:
            titles[row] += f"\n(the paper: {papers[setting.column]})"
    ax.set(yticks=range(len(settings)), yticklabels=titles, xlabel="change of the score, %")
    ax.invert_yaxis()
    labels = dict(zip(*ax.get_legend_handles_labels()[::-1], strict=True))
    fig.legend(labels.values(), labels, loc="outside upper center", ncols=3)
    return fig


def change_curve(ax: Axes, places: Sequence[float], found: Sequence[Change], label: str) -> None:
    """Draw changes of a score with their intervals, in per cent; ``label`` is a way, such as "matched"."""
    low, high = 100 * np.array([change.interval for change in found]).T
    ax.plot(places, [100 * change.relative for change in found], "o-", color=COLORS[label], label=label)
    ax.fill_between(places, low, high, color=COLORS[label], alpha=0.2)


def shells(norms: Mapping[tuple[str, int], np.ndarray]) -> Figure:
    """Draw the squared norms of the prior and of midpoints, (2, n) by prior and dimension, over the expected ones."""
    laws = list(dict.fromkeys(law for law, _ in norms))
    fig, axes = plt.subplots(len(laws), len(norms) // len(laws), figsize=(10, 4.6), sharex=True)
    style = {"density": True, "histtype": "stepfilled", "alpha": 0.6, "lw": 0}
    for ((law, d), (prior, midpoints)), ax in zip(norms.items(), axes.flat, strict=True):
        bins = np.linspace(0, min(2.5, prior.max()), 50) if d < 100 else 40
        ax.hist(prior, bins, color=COLORS["prior"], label="prior", **style)
        ax.hist(midpoints, bins, color=COLORS["linear"], label="linear midpoints", **style)
        ax.set(title=f"{law}, d = {d}", yticks=[], xlim=(0, 2.5))
    fig.suptitle("midpoints lie at half the prior's mean: in high dimension, apart from its points")
    axes[0, 0].legend(loc="upper right", borderaxespad=0, handlelength=1)
    fig.supxlabel("squared norm over its mean under the prior")
    fig.supylabel("density")
    return fig


def divergence(
    places: np.ndarray,
    curves: Mapping[str, Sequence[float]],
    midpoints: Mapping[str, float],
    simulated: Mapping[tuple[str, int], float],
) -> Figure:
    """Draw the divergence of linear interpolation from up to five priors, of a coordinate and of all together.

    Parameters
    ----------
    places : (k,) array
        t
    curves : dict of (k,) sequences
        Divergence of one coordinate at each of them, by prior.
    midpoints : dict of float
        The same at the midpoint, which makes the straight lines.
    simulated : dict of float
        That of whole midpoints, by prior and dimension, which makes the dots.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    dimensions = np.array([1, 1000])
    for (name, curve), line in zip(curves.items(), ("-", "-", "--", "-.", ":"), strict=True):
        style = {"color": LAWS[name], "ls": line, "lw": 2, "label": name}
        left.plot(places, curve, **style)
        # a prior that keeps its law has no place on a logarithmic axis
        right.loglog(dimensions, dimensions * max(midpoints[name], 1e-12), **style)
    for (name, d), value in simulated.items():
        right.plot(d, value, "o", color=LAWS[name])
    left.set(xlabel="place $t$ on the path", ylabel="divergence", title="one coordinate: most at the midpoint")
    right.set(xlabel="dimension $d$", ylabel="divergence", title="midpoints: $d$ times as much", ylim=(0.03, 500))
    right.legend()
    return fig


def squared_norms(values: np.ndarray, prior: Any, limit: Any) -> Figure:
    """Draw the squared norms of midpoints with the densities of the prior's and of their limit.

    ``prior`` and ``limit`` are frozen distributions of scipy.stats.
    """
    x = np.linspace(0.005, 1.5, 400)
    fig, ax = plt.subplots(figsize=(8, 4))
    ax.plot(x, prior.pdf(x), color=COLORS["prior"], lw=2, label="prior")
    style = {"density": True, "histtype": "stepfilled", "alpha": 0.6, "lw": 0, "color": COLORS["linear"]}
    ax.hist(values[values < 2], np.linspace(0, 2, 81), label="linear midpoints, d = 100", **style)
    ax.plot(x, limit.pdf(x), "--", color="0.4", lw=2, label="their limit")
    ax.set(xlabel=r"squared norm / $\theta$", ylabel="density", xlim=(0, 1.5), ylim=(0, 5))
    ax.set_title("midpoints miss the prior's points near zero and far out")
    ax.legend()
    return fig


def entropic(epsilons: np.ndarray, curves: Mapping[str, np.ndarray], maps: Mapping[str, float]) -> Figure:
    """Draw by how much entropic transport costs more than the map, against epsilon, by prior.

    ``curves`` and ``maps`` are costs over the prior's variance.
    """
    fig, ax = plt.subplots(figsize=(8, 4.4))
    for law, curve in curves.items():
        for cost, name, style in ((1.5, "draw again", ":"), (0.5, "copy", "--")):
            ax.axhline(cost / maps[law] - 1, color=LAWS[law], ls=style, lw=1.5, label=f"{law}, {name}")
        ax.loglog(epsilons, curve / maps[law] - 1, "o-", ms=4, color=LAWS[law], label=f"{law}, entropic")
    ax.set(xlabel=r"$\varepsilon$ in units of the prior's variance", ylabel="cost over the map's, minus 1")
    ax.set_title("the more entropy, the more it is like drawing again")
    ax.legend(loc="lower right")
    return fig


def inception_scores(found: Mapping[str, tuple[float, Interval]], reference: str) -> Figure:
    """Draw scores with their intervals, by operation, and a band for those of the reference."""
    fig, ax = plt.subplots(figsize=(8, 3.8))
    for row, (name, (value, (low, high))) in enumerate(found.items()):
        color = COLORS.get(name.split()[0].lower(), COLORS["prior"])
        ax.errorbar(value, row, xerr=[[value - low], [high - value]], fmt="o", color=color, capsize=4)
    ax.axvspan(*found[reference][1], color=COLORS["prior"], alpha=0.15)
    ax.set(yticks=range(len(found)), yticklabels=list(found), xlabel="Inception Score (digit classifier)")
    ax.set_title("linear means cost score, matched ones do not")
    ax.invert_yaxis()
    return fig


def ratios(found: Mapping[tuple[str, str, str], tuple[float, Interval]]) -> Figure:
    """Draw ratios with their intervals, by name of the row, measure (a panel each) and way (a colour each)."""
    names, measures, ways = (list(dict.fromkeys(key[part] for key in found)) for part in range(3))
    fig, axes = plt.subplots(1, len(measures), figsize=(9.5, 1.4 + 0.5 * len(names)), sharey=True)
    for ax, measure in zip(axes, measures, strict=True):
        for shift, way in enumerate(ways):
            value, ends = (np.array(part) for part in zip(*(found[name, measure, way] for name in names), strict=True))
            style = {"fmt": "o", "ms": 5, "capsize": 3, "color": COLORS[way.lower()], "label": way}
            ax.errorbar(value, np.arange(len(names)) + 0.2 * (shift - 1), xerr=abs(ends.T - value), **style)
        ax.axvline(1, color=COLORS["prior"], lw=1)
        ax.set(xlabel=f"{measure}, midpoints over random samples")
    axes[0].set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(ways))
    return fig


def page(title: str, generator: Generator, rows: Mapping[str, Mapping[str, Any]], squares: Mapping[str, Any]) -> Figure:
    """Draw a generator's images of operations: four panels of rows, and two squares of five by five.

    Parameters
    ----------
    title : str
    generator : Generator
    rows : dict of dict of (n, d) tensors
        Latent points by panel ("two-point means", "analogies", "vicinity" and "random walk") and row.
    squares : dict of (25, d) tensors
        Latent points, "linear" and "matched".
    """
    layout = [["two-point means", "linear"], ["analogies", "matched"], ["vicinity", "random walk"]]
    fig, axes = plt.subplot_mosaic(layout, figsize=(8, 6.2), height_ratios=[5, 5, 2])
    for panel, of_panel in rows.items():
        image_rows(axes[panel], {name: generator(z) for name, z in of_panel.items()})
        axes[panel].set_title(panel)
    for way, z in squares.items():
        image_grid(axes[way], generator(z), columns=5)
        axes[way].set_title(f"four points, {way}")
    fig.suptitle(f"{title}: {type(generator.prior).__name__} prior, {generator.latent_dim}-D")
    return fig


def cells(
    ot: Any, codes: np.ndarray, centers: np.ndarray, images: Mapping[str, np.ndarray], shades: np.ndarray, side: int
) -> Figure:
    """Draw the cells of codes around eight centers in the plane, and clouds in the hue of the nearest center.

    Parameters
    ----------
    ot : SemiDiscreteOT
        Fitted to the codes.
    codes : (N, 2) array
    centers : (8, 2) array
    images : dict of (n, 2) arrays
        Clouds by title.
    shades : (N,) array
        In [0, 1], so that cells of one hue can be told apart.
    side : int
        Pixels along an edge of the picture of the cells.
    """
    import seaborn as sns

    from ot_latent.paper.transport_figures import draw_cells

    palette = np.array(sns.color_palette("colorblind", 8))
    shade = 0.55 + 0.45 * shades[:, None]
    fig, axes = plt.subplot_mosaic([[0, 0, 1, 2], [0, 0, 3, 4]], figsize=(10.5, 5.4))
    draw_cells(axes[0], ot, palette[cdist(codes, centers).argmin(1)] * shade + (1 - shade), side)
    axes[0].set(title=f"cells of {len(codes)} codes", xlabel="$z_1$", ylabel="$z_2$")
    for place, (title, cloud) in enumerate(images.items(), 1):
        axes[place].scatter(*cloud.T, s=3, c=palette[cdist(cloud, centers).argmin(1)], rasterized=True)
        axes[place].set(title=title, aspect="equal", xlim=(-14, 14), ylim=(-14, 14))
    return fig
