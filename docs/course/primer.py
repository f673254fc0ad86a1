"""The pictures of the primer: python docs/course/primer.py writes them beside this file."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

import ot_latent as otl
from ot_latent.paper.figures import COLORS

HERE = Path(__file__).resolve().parent


def save(fig: plt.Figure, name: str) -> None:
    fig.savefig(
        HERE / f"primer_{name}.png", dpi=130, bbox_inches="tight", facecolor="white", metadata={"Software": None}
    )
    plt.close(fig)


def monge() -> None:
    """A map between two laws on the line: every point is sent to one place, and order is kept."""
    prior = otl.Uniform(-1, 1)
    law = prior.combine([0.5, 0.5])
    T = otl.monotone_map(law, prior)
    x = np.linspace(-1, 1, 401)
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    left.fill_between(x, law.pdf(x), color=COLORS["linear"], alpha=0.35, label="source")
    left.fill_between(x, -prior.pdf(x), color=COLORS["prior"], alpha=0.35, label="target (downwards)")
    for y in law.icdf(np.linspace(0.04, 0.96, 12)):
        left.annotate("", (T(y), -0.5), (y, 0), arrowprops={"arrowstyle": "->", "color": COLORS["matched"]})
    left.set(xlabel="place", ylabel="density", title="Monge: every grain goes to one place")
    left.set_ylim(None, 1.5)
    left.legend(fontsize=9, loc="upper left")
    right.plot(x, x, ":", color="black", label="no change")
    right.plot(x, T(x), color=COLORS["matched"], lw=2, label="$T$")
    right.set(xlabel="from $y$", ylabel="to $T(y)$", title="The cheapest map on the line is increasing")
    right.legend()
    save(fig, "monge")


def kantorovich() -> None:
    """Three points and six: a plan splits what a map cannot."""
    atoms, six = np.array([-0.5, 0.0, 0.5]), np.linspace(-1, 1, 6)
    dual = otl.solve_kantorovich(np.repeat(atoms, 2)[:, None], six[:, None])
    plan = np.zeros((3, 6))
    np.add.at(plan, (np.arange(6) // 2, dual.matching), 1 / 6)
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for i, x in enumerate(atoms):
        for j in np.flatnonzero(plan[i]):
            left.plot([x, six[j]], [1, 0], color=COLORS["matched"], lw=2, zorder=0)
    left.plot(atoms, np.ones(3), "o", ms=13, color=COLORS["noise"], label="three points, a third each")
    left.plot(six, np.zeros(6), "o", ms=8, color=COLORS["codes"], label="six points, a sixth each")
    left.set(
        yticks=[],
        xticks=(-1, -0.5, 0, 0.5, 1),
        ylim=(-0.25, 1.8),
        xlabel="place",
        title="Kantorovich: mass may be split",
    )
    left.legend(fontsize=9, loc="upper center")
    image = right.imshow(plan, cmap="Greys", vmin=0)
    right.set(xlabel="target $j$", ylabel="source $i$", title=r"The plan $\pi_{ij}$: rows and columns add up")
    right.set(xticks=range(6), yticks=range(3))
    fig.colorbar(image, ax=right, label="mass", shrink=0.7)
    save(fig, "kantorovich")


def duals() -> None:
    """Heights of planes: the potential is their upper envelope, its slope is the map, its pieces are the cells."""
    codes = np.array([[-1.6], [-0.4], [0.3], [1.8]])
    ot = otl.SemiDiscreteOT(tolerance=1e-3, random_state=0).fit(codes)
    z = np.linspace(-2.5, 2.5, 1001)
    planes = z[:, None] * codes[:, 0] + np.asarray(ot.heights)
    highest = planes.argmax(1)
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    shades = [COLORS[name] for name in ("linear", "matched", "codes", "slerp")]
    for j, shade in enumerate(shades):
        left.plot(z, planes[:, j], color=shade, lw=0.8, alpha=0.7)
        left.plot(z[highest == j], planes[highest == j, j], color=shade, lw=3)
        own = highest == j
        right.fill_between(z[own], stats.norm.pdf(z[own]) * 3 - 4, -4, color=shade, alpha=0.45)
        right.plot(z[own], np.full(own.sum(), codes[j, 0]), color=shade, lw=3)
    left.set(xlabel="noise $z$", ylabel="$u(z)$", ylim=(-1, 5), title="A plane for each code, at its own height")
    right.set(xlabel="noise $z$", ylabel="$T(z)$, a code", title="Its slope is the map; cells of equal mass")
    right.set_yticks(codes[:, 0])
    save(fig, "duals")


if __name__ == "__main__":
    monge()
    kantorovich()
    duals()
