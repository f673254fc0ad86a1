"""Drawings of transport maps: cells and their singular set, toys, potentials, what batches lose."""

from __future__ import annotations

import numpy as np

from ot_latent.paper.figures import COLORS

_REACH = 3.0  # of the noise that is drawn, in standard deviations


def draw_cells(ax, ot, colors, side: int = 400, gap: float | None = None) -> None:
    """The cells of two-dimensional codes over the plane of the noise.

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


def draw_toy(axes, name: str, ot, codes, clouds: dict, side: int = 400) -> None:
    """A row of panels: cells with the singular set, codes in the same hues, images of noise.

    Parameters
    ----------
    axes : sequence of 2 + len(clouds) matplotlib Axes
    name : str
    ot : SemiDiscreteOT fitted to the codes
    codes : (N, 2) array
    clouds : dict of (n, 2) arrays
        Images of noise by method.
    """
    from matplotlib import colormaps

    hue = (np.arctan2(*(codes - codes.mean(0)).T) / (2 * np.pi)) % 1
    colors = colormaps["twilight"](hue)
    draw_cells(axes[0], ot, colors, side, gap=np.ptp(codes, axis=0).max() / 10)
    axes[0].set(title="cells and singular set", ylabel=name)
    axes[1].scatter(*codes.T, s=2, c=colors, rasterized=True)
    axes[1].set(title="codes", aspect="equal")
    limits = {"xlim": axes[1].get_xlim(), "ylim": axes[1].get_ylim()}
    for ax, (method, cloud) in zip(axes[2:], clouds.items(), strict=True):
        ax.scatter(*cloud.T, s=2, color=COLORS["matched"], rasterized=True)
        ax.set(title=method, aspect="equal", **limits)


def draw_map(fig, title: str, potential, noise, codes, image, column: int, columns: int) -> None:
    """Above, noise, codes and the image of the noise; below, the surface of the potential.

    Parameters
    ----------
    fig : matplotlib Figure
    potential : D, of two variables
    noise, codes, image : (n, 2) arrays
    column, columns : int
        Which of how many, from 1.
    """
    import torch

    ax = fig.add_subplot(2, columns, column, aspect="equal", title=title)
    clouds = {"codes": codes, "noise": noise, "image of the noise": image}
    for (label, cloud), color in zip(clouds.items(), ("codes", "noise", "matched"), strict=True):
        ax.scatter(*cloud.T, s=9, color=COLORS[color], label=label)
    ticks = np.linspace(-4, 4, 101)
    grid = np.stack(np.meshgrid(ticks, ticks), -1)
    points = torch.tensor(grid, device=potential.shift.device).float().reshape(-1, 2)
    with torch.no_grad():
        height = potential(points).reshape(101, 101).cpu().numpy()
    ax = fig.add_subplot(2, columns, columns + column, projection="3d")
    ax.plot_surface(*np.moveaxis(grid, -1, 0), height, cmap="viridis", linewidth=0, antialiased=False)
    ax.set(xlabel="$x_1$", ylabel="$x_2$")
    ax.set_title("surface of $D$", y=0.97)


def draw_lost_slopes(ax, sizes, lost: dict) -> None:
    """The bias of batches of m points: slope lost by dimension, (len(sizes),) each."""
    for (d, values), color in zip(lost.items(), ("noise", "linear", "prior"), strict=True):
        ax.plot(sizes, values, "o-", color=COLORS[color], label=f"d = {d}")
    ax.set(xscale="log", xlabel="points in a batch, m", ylabel="slope lost, $1 - b_m$")
    ax.set(ylim=(0, 1), title="batches move points too little")
    ax.legend()


def draw_spreads(ax, codes, clouds: dict) -> None:
    """Deviation of clouds along each principal axis of the codes, over that of the codes."""
    center = codes.mean(0)
    axes = np.linalg.svd(codes - center, full_matrices=False)[2]
    own = ((codes - center) @ axes.T).std(0)
    for (name, cloud), color in zip(clouds.items(), ("slerp", "matched"), strict=True):
        spread = ((cloud - center) @ axes.T).std(0) / own
        ax.plot(range(1, len(own) + 1), spread, "o-", color=COLORS[color], label=name)
    ax.axhline(1, color=COLORS["prior"], lw=1, ls="--", label="codes")
    ax.set(xlabel="principal axis of the codes", ylabel="spread / spread of codes", ylim=(0, 1.3))
    ax.set_title("and their images crowd the middle")
    ax.legend()


def draw_report(ax, report: dict) -> None:
    """`scores.transport_report`: W2 of each cloud to held-out codes over that of codes."""
    scores = {name: score for name, score in report.items() if name != "codes"}
    middle = np.array([score.ratio for score in scores.values()])
    ends = np.array([score.ratio_interval for score in scores.values()])
    rows = range(len(scores))
    ax.errorbar(middle, rows, xerr=abs(ends.T - middle), fmt="o", color=COLORS["matched"])
    ax.axvline(1, color=COLORS["prior"], lw=1, ls="--")
    ax.set_yticks(rows, scores)
    ax.set(xlabel="$W_2$ to test codes / that of training codes")
    ax.set(ylim=(len(scores) - 0.5, -0.5), title="how close to codes never seen")
