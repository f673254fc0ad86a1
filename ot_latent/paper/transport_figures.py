"""Drawings of transport maps: cells and their singular set, toys, potentials, codes, what batches lose."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from ot_latent.paper.figures import COLORS

if TYPE_CHECKING:
    from ot_latent.brenier import Potential
    from ot_latent.scores.reports import TransportScore
    from ot_latent.semidiscrete import SemiDiscreteOT

_REACH = 3.0  # of the noise that is drawn, in standard deviations


def draw_cells(ax: Axes, ot: "SemiDiscreteOT", colors: np.ndarray, side: int = 400, gap: float | None = None) -> None:
    """Draw the cells of two-dimensional codes over the plane of the noise.

    Parameters
    ----------
    ax : matplotlib Axes
    ot : SemiDiscreteOT
    colors : (N, 3) or (N, 4) array
        Of the codes.
    side : int
        Pixels along an edge.
    gap : float, optional
        Draw borders between cells whose codes are further apart than this, in black: the singular
        set, where the map jumps.
    """
    ticks = np.linspace(-_REACH, _REACH, side)
    plane = np.stack(np.meshgrid(ticks, ticks), -1)
    cells = ot.cell(plane.reshape(-1, 2)).reshape(side, side)
    ax.imshow(colors[cells], origin="lower", extent=(-_REACH, _REACH) * 2)
    if gap is not None:
        images = ot.transport(plane.reshape(-1, 2)).reshape(plane.shape)
        right, up = (np.linalg.norm(np.diff(images, axis=axis), axis=-1)[: side - 1, : side - 1] for axis in (0, 1))
        jumps = np.hypot(right, up) > gap
        ax.contour(ticks[:-1], ticks[:-1], jumps, [0.5], colors="k", linewidths=0.5)


def draw_toy(
    axes: Sequence[Axes],
    name: str,
    ot: "SemiDiscreteOT",
    codes: np.ndarray,
    clouds: Mapping[str, np.ndarray],
    side: int = 400,
) -> None:
    """Draw a row of panels: cells with the singular set, codes in the same hues, images of noise.

    Parameters
    ----------
    axes : sequence of 2 + len(clouds) matplotlib Axes
    name : str
    ot : SemiDiscreteOT fitted to the codes
    codes : (N, 2) array
    clouds : mapping of names to (n, 2) arrays
        Images of noise by method.
    side : int
        Pixels along an edge of the first panel.
    """
    from matplotlib import colormaps

    colors = colormaps["twilight"]((np.arctan2(*(codes - codes.mean(0)).T) / (2 * np.pi)) % 1)
    draw_cells(axes[0], ot, colors, side, gap=np.ptp(codes, axis=0).max() / 10)
    axes[0].set(ylabel=f"{name}\nsecond coordinate")
    axes[1].scatter(*codes.T, s=2, c=colors, rasterized=True)
    axes[1].set(aspect="equal")
    limits = {"xlim": axes[1].get_xlim(), "ylim": axes[1].get_ylim()}
    for ax, (method, cloud) in zip(axes[2:], clouds.items(), strict=True):
        ax.scatter(*cloud.T, s=2, color=COLORS[method], rasterized=True)
        ax.set(aspect="equal", **limits)
    if axes[0].get_subplotspec().is_first_row():
        for ax, title in zip(axes, ("cells and singular set", "codes", *clouds), strict=True):
            ax.set_title(title)
    for ax in axes if axes[0].get_subplotspec().is_last_row() else ():
        ax.set_xlabel("first coordinate")


def draw_map(
    axes: Sequence[Axes],
    title: str,
    potential: "Potential",
    noise: np.ndarray,
    codes: np.ndarray,
    image: np.ndarray,
    levels: np.ndarray,
) -> None:
    """Draw noise, codes and the image of the noise, (n, 2) each, and below them level lines of D over its least value.

    The gradient of D is the way that a point goes: where the lines are close, the map moves points far.
    """
    import torch

    clouds = {"codes": codes, "noise": noise, "image of the noise": image}
    for (label, cloud), color in zip(clouds.items(), ("codes", "noise", "minibatch"), strict=True):
        axes[0].scatter(*cloud.T, s=9, color=COLORS[color], label=label)
    axes[0].set(title=title, aspect="equal")
    ticks = np.linspace(-4, 4, 101)
    points = torch.tensor(np.stack(np.meshgrid(ticks, ticks), -1), device=potential.shift.device).float()
    with torch.no_grad():
        height = potential(points.reshape(-1, 2)).reshape(101, 101).cpu().numpy()
    axes[1].contourf(ticks, ticks, height - height.min(), levels, extend="max")
    axes[1].contour(ticks, ticks, height - height.min(), levels, colors="white", linewidths=0.6)
    axes[1].set(xlabel="$z_1$", aspect="equal")


def draw_principal_plane(axes: Iterable[Axes], codes: np.ndarray, clouds: Mapping[str, np.ndarray]) -> None:
    """Draw densities of codes and, one panel each, of mapped noise along the first two principal axes of the codes.

    Parameters
    ----------
    axes : as many as there are clouds
    codes : (N, d) array
    clouds : mapping of names to (n, d) arrays
        The densities are estimated from the first 3,000 points of each; outside their lines lie 10, 30, 50, ... %.
    """
    import seaborn as sns

    center = codes.mean(0)
    plane = np.linalg.svd(codes - center, full_matrices=False)[2][:2].T
    for ax, (title, cloud) in zip(axes, clouds.items(), strict=True):
        look = {"levels": [0.1, 0.3, 0.5, 0.7, 0.9, 1], "gridsize": 80, "bw_adjust": 0.7, "cut": 1, "ax": ax}
        x, y = ((codes[:3_000] - center) @ plane).T
        sns.kdeplot(x=x, y=y, fill=True, cmap=sns.light_palette(COLORS["codes"], as_cmap=True), **look)
        x, y = ((cloud[:3_000] - center) @ plane).T
        sns.kdeplot(x=x, y=y, color="black", linewidths=1.2, **look)
        ax.plot([], [], color=COLORS["codes"], lw=8, label="codes")
        ax.plot([], [], color="black", lw=2, label="mapped noise")
        ax.set(title=title, xlabel="first principal axis", ylabel="second principal axis", aspect="equal")
        ax.label_outer()


def draw_lost_slopes(ax: Axes, sizes: Sequence[int], lost: Mapping[int, Sequence[float]]) -> None:
    """Draw the bias of batches of m points: slope lost by dimension, (len(sizes),) each."""
    for (d, values), marker in zip(lost.items(), "o^s", strict=True):
        ax.plot(sizes, values, f"{marker}-", color=COLORS["minibatch"])
        ax.text(1.3 * sizes[-1], values[-1], f"d = {d}", va="center")
    ax.set(xscale="log", xlabel="points in a batch, m", ylabel="slope lost, $1 - b_m$")
    ax.set(xlim=(None, 9 * sizes[-1]), ylim=(0, 1), title="batches move points too little")


def draw_spreads(ax: Axes, codes: np.ndarray, clouds: Mapping[str, np.ndarray]) -> None:
    """Draw the deviation of clouds along each principal axis of the codes, over that of the codes."""
    center = codes.mean(0)
    axes = np.linalg.svd(codes - center, full_matrices=False)[2]
    own = ((codes - center) @ axes.T).std(0)
    for name, cloud in clouds.items():
        spread = ((cloud - center) @ axes.T).std(0) / own
        ax.plot(range(1, len(own) + 1), spread, "o-", color=COLORS[name], label=name)
    ax.axhline(1, color=COLORS["prior"], lw=1, ls="--", label="codes")
    ax.set(xlabel="principal axis of the codes", ylabel="spread over that of the codes", ylim=(0, 1.3))
    ax.set_title("their images crowd the middle")
    ax.legend()


def draw_report(ax: Axes, report: "Mapping[str, TransportScore]") -> None:
    """Draw what `scores.transport_report` gives: W2 of each cloud to held-out codes over that of codes."""
    scores = {name: score for name, score in report.items() if name != "codes"}
    for row, (name, score) in enumerate(scores.items()):
        value, *ends = score.ratio
        ax.errorbar(
            value,
            row,
            xerr=np.abs(np.subtract(ends, value))[:, None],
            fmt="o",
            capsize=3,
            color=COLORS.get(name, "0.4"),
        )
    ax.axvline(1, color=COLORS["prior"], lw=1, ls="--")
    ax.set_yticks(range(len(scores)), [name.replace(", ", ",\n") for name in scores])
    ax.set(xlabel="$W_2$ to test codes over\nthat of training codes")
    ax.set(ylim=(len(scores) - 0.5, -0.5), title="how close to codes never seen")
