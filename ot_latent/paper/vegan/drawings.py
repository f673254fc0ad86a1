"""Figures of notebooks 14 to 16, on Bousquet et al. (2017)."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from ot_latent.paper.figures import COLORS, image_grid
from ot_latent.paper.vegan.figure1 import CIRCLE
from ot_latent.paper.vegan.figure1_mnist import Averaging
from ot_latent.paper.vegan.proposition3 import Witness
from ot_latent.paper.vegan.section4_2 import Side
from ot_latent.scores.intervals import ratio_of_paired_means


def two_sides(problems: Mapping[str, Mapping[str, Side]], exact: Mapping[str, tuple[float, float]]) -> Figure:
    """Draw what each side of the duality reports along its training, and its error against steps and time.

    Parameters
    ----------
    problems : dict of dict of Side
        By problem, then by label. Labels that begin with "primal" have one colour, others another.
    exact : dict of (float, float)
        W1 of each problem, and the seconds that the exact solver took.
    """
    fig, axes = plt.subplots(len(problems), 3, figsize=(13, 3.6 * len(problems)), squeeze=False)
    for row, (problem, sides) in zip(axes, problems.items(), strict=True):
        w1, solver = exact[problem]
        styles = {"primal": iter(":-"), "dual": iter(":-")}
        for label, side in sides.items():
            kind = "primal" if label.startswith("primal") else "dual"
            color = COLORS["matched" if kind == "primal" else "linear"]
            style = {"color": color, "ls": next(styles[kind]), "lw": 2, "label": label}
            error = abs(side.reported / w1 - 1)
            row[0].plot(side.steps, side.reported / w1, **style)
            row[0].plot(side.steps, side.certified / w1, "--", color=color, lw=0.7)
            row[1].semilogy(side.steps, error, **style)
            row[2].loglog(side.seconds, error, **style)
        row[0].axhline(1, color=COLORS["prior"], ls="--", lw=1)
        row[0].set(xlabel="steps", ylabel=r"over the exact $W_1$", ylim=(0, 2.3), title=problem)
        row[2].axvline(solver, color=COLORS["codes"], label="exact solver")
        row[1].set(xlabel="steps", ylabel="relative error", title="Error of what is reported")
        row[2].set(xlabel="seconds of training", title="The same against time")
        for ax in row[1:]:
            ax.set_ylim(3e-3, 10)
    axes[0, 2].legend(fontsize=9, loc="lower left")
    return fig


def averaging(followed: Mapping[str, Averaging], gaussian: Sequence[str]) -> Figure:
    """Draw images, what models decode and E[X | Z], and the sharpness of all of it.

    Parameters
    ----------
    followed : dict of Averaging
        By name of the model.
    gaussian : list of str
        The models whose E[X | Z] is drawn, for those with disjoint codes it is the image.
    """
    columns = 10
    first = next(iter(followed.values()))
    rows = {"images": first.pictures[:columns, 0]}
    for name, found in followed.items():
        rows[f"{name}, decoded"] = found.pictures[:columns, 1]
        if name in gaussian:
            rows[f"{name}, $E[X|Z]$"] = found.pictures[:columns, 2]
    fig, (left, right) = plt.subplots(1, 2, figsize=(13, 0.75 * len(rows) + 0.6), width_ratios=[1.8, 1])
    side = first.pictures.shape[-1]
    image_grid(left, np.concatenate(list(rows.values()))[:, None], columns)
    for place, label in enumerate(rows):
        left.text(-0.15 * side, (place + 0.5) * side, label, ha="right", va="center", fontsize=10)
    for place, found in enumerate(followed.values()):
        for shift, values, color in ((-0.18, found.decoded, "matched"), (0.18, found.best, "codes")):
            ratio, (low, high) = ratio_of_paired_means(values, found.original)
            right.barh(place + shift, ratio, 0.32, color=COLORS[color])
            right.plot([low, high], [place + shift] * 2, color=COLORS["prior"], lw=2)
    right.axvline(1, color=COLORS["prior"], ls="--", lw=1)
    right.set(yticks=range(len(followed)), yticklabels=followed, xlim=(0, 1.05))
    right.set(xlabel="sharpness over that of the images", title="decoded and $E[X|Z]$")
    right.invert_yaxis()
    for color, label in (("matched", "decoded"), ("codes", "$E[X|Z]$")):
        right.barh(0, 0, color=COLORS[color], label=label)
    right.legend(fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    return fig


def theorem1(pairs: Mapping[bool, np.ndarray], x: np.ndarray, z: np.ndarray) -> Figure:
    """Draw both values of Theorem 1, (k, 2) by kind of decoder (is it random?), and an optimal encoder's codes."""
    fig, axes = plt.subplots(1, 3, figsize=(12, 3.9))
    axes[0].axline((0, 0), slope=1, color="0.6", ls=":")
    for is_random, color, kind in ((True, "slerp", "random"), (False, "linear", "deterministic")):
        axes[0].plot(*pairs[is_random].T, ".", ms=4, color=COLORS[color], label=f"{kind} decoders")
    axes[0].set(xlabel="$W_c$, over couplings (1)", ylabel="over encoders (11)", title="Theorem 1")
    axes[0].legend(loc="lower right", fontsize=9)
    axes[1].plot(x, z[: len(x)], ".", ms=2, color=COLORS["codes"])
    axes[1].set(xlabel="data $x$", ylabel="code $z$", title="The optimal encoder for $G(z) = z^2$")
    grid, filled = np.linspace(-4, 4, 201), {"histtype": "stepfilled", "color": COLORS["noise"]}
    axes[2].hist(z, 80, range=(-4, 4), density=True, label="$Q_Z$", **filled)
    axes[2].plot(grid, stats.norm.pdf(grid), color=COLORS["prior"], label="$P_Z$")
    axes[2].set(xlabel="code $z$", ylabel="density", title="Its codes follow the prior")
    axes[2].legend(fontsize=9)
    return fig


def relaxation(weights: np.ndarray, curves: Mapping[str, np.ndarray], exact: float, predicted: float) -> Figure:
    """Draw W^lambda and mu_lambda (columns of the curves) against lambda, and the gap to W.

    ``predicted`` over lambda is the first order of the gap of the Kullback-Leibler penalty.
    """
    fig, axes = plt.subplots(1, 3, figsize=(12, 3.7))
    for (name, curve), color in zip(curves.items(), ("matched", "linear"), strict=True):
        style = {"color": COLORS[color], "lw": 2, "label": name}
        axes[0].semilogx(weights, curve[:, 0], **style)
        axes[1].semilogx(weights, curve[:, 1], **style)
        axes[2].loglog(weights, np.where(exact - curve[:, 0] > 1e-9, exact - curve[:, 0], np.nan), **style)
    axes[0].axhline(exact, color=COLORS["prior"], ls="--", label="$W_c$")
    axes[0].set(xlabel=r"$\lambda$", title=r"The relaxed cost $W^\lambda$")
    axes[1].set(xlabel=r"$\lambda$", title=r"The constraint $\mu_\lambda$ that it stands for")
    axes[2].loglog(weights, predicted / weights, ":", color="0.3", label=r"$\mathrm{Var}(\psi^*) / 2\lambda$")
    axes[2].set(xlabel=r"$\lambda$", title=r"The gap $W_c - W^\lambda$", ylim=(1e-3, 5))
    for ax in axes:
        ax.legend(fontsize=9)
    return fig


def identity(ratios: np.ndarray, spreads: Mapping[float, np.ndarray]) -> Figure:
    """Draw the spread over networks of 2 sigma^2 AAE - POT, by sigma^2, against lambda / 2 sigma^2."""
    fig, ax = plt.subplots(figsize=(7, 3.8))
    styles = zip(spreads.items(), ("linear", "matched", "codes"), ("-", "--", "-."), strict=True)
    for (variance, spread), color, style in styles:
        ax.loglog(ratios, spread, style, color=COLORS[color], lw=2, label=rf"$\sigma^2 = {variance:g}$")
    title = r"$2\sigma^2 D_{AAE} - D_{POT}$, relative to the spread of $D_{POT}$"
    ax.set(xlabel=r"$\lambda\,/\,2\sigma^2$", ylabel="spread over networks", title=title)
    ax.legend()
    return fig


def proposition2(sigmas: np.ndarray, star: np.ndarray, dagger: np.ndarray) -> Figure:
    """Draw both costs of one decoder, their minimisers against sigma, and what was found by descent."""
    c = np.linspace(0, 1.5, 301)
    fig, axes = plt.subplots(1, 3, figsize=(12, 3.8))
    linear, matched = COLORS["linear"], COLORS["matched"]
    for s, style in ((0.3, ":"), (0.6, "--"), (0.9, "-")):
        w2, bound = (1 - np.hypot(c, s)) ** 2, s**2 + (1 - c) ** 2
        axes[0].plot(c, w2, style, color=linear, label=rf"$W_2^2$, $\sigma = {s}$")
        axes[0].plot(c, bound, style, color=matched, label=rf"$W^\dagger$, $\sigma = {s}$")
        axes[0].plot(np.sqrt(1 - s**2), 0, "o", color=linear, clip_on=False)
        axes[0].plot(1, s**2, "o", color=matched)
    axes[0].set(xlabel="slope $c$", title="Two costs of one decoder", ylim=(0, 1.9))
    axes[0].legend(fontsize=8, ncols=2)
    s = np.linspace(0, 1, 201)
    for found, color, exact, label in (
        (star, linear, np.sqrt(1 - s**2), r"$c^*$ of $W_2$"),
        (dagger, matched, np.ones_like(s), r"$c^\dagger$ of $W^\dagger$"),
    ):
        axes[1].plot(s, exact, color=color, label=label)
        axes[1].plot(sigmas, found, "o", color=color, label="by SGD on (13)")
        axes[2].plot(s, (1 - exact) ** 2, color=color, label=label)
        axes[2].plot(sigmas, (1 - found) ** 2, "o", color=color)
    axes[1].set(xlabel=r"$\sigma$", ylabel="slope $c$", title="The minimisers", ylim=(0, 1.1))
    axes[1].legend(fontsize=9, loc="lower left")
    axes[2].set(xlabel=r"$\sigma$", ylabel="$W_2^2(P_X, G(Z))$", title="Sampled without the noise")
    axes[2].legend(fontsize=9)
    return fig


def spoiled_witness(ax: Axes, witness: Witness, far: float) -> None:
    """Draw a witness of two points that is almost optimal, beside the best."""
    t = np.linspace(-1, 1, 2001)
    ax.plot(t, abs(t), color=COLORS["prior"], ls="--", label="$f^*$, the best")
    ax.plot(t, witness(t), color=COLORS["matched"], label=r"$f_\varepsilon$, $\varepsilon = 0.2$")
    ax.plot([-far, far], [far, far], "o", color=COLORS["codes"], label="generated")
    ax.plot([-1, 1], [1, 1], "s", color=COLORS["linear"], label="data")
    ax.set(xlabel="$t$", title="A spoiled witness", ylim=(0, 1.75))
    ax.legend(fontsize=9, ncols=2, loc="upper center")


def smooth_witnesses(
    ax: Axes, best: Witness, turned: Witness, by_program: tuple[np.ndarray, np.ndarray], points: np.ndarray
) -> None:
    """Draw the slopes of smooth witnesses: the best (and by linear programming), and an almost best one."""
    t = np.linspace(-1, 1, 2001)
    ax.plot(t, np.sign(t), color=COLORS["prior"], ls="--", label="of $f^*$")
    ax.plot(t, best(t), color=COLORS["linear"], label="of $h^*$, $p = 0.4$")
    places, slopes = by_program
    ax.plot(places[::25], slopes[::25], ".", color=COLORS["linear"], label="of $h^*$, by LP")
    ax.plot(t, turned(t), color=COLORS["matched"], label=r"of $h_\varepsilon$, $p = 0.5$")
    ax.axhline(0, color="0.7", lw=0.8, zorder=0)
    ax.plot(points, best(points), "o", color=COLORS["codes"], label="generated")
    ax.set(xlabel="$t$", title="Slopes of smooth witnesses", xlim=(-0.5, 0.5))
    ax.legend(fontsize=8, loc="upper left")


def worst_gradients(ax: Axes, epsilons: np.ndarray, lipschitz: np.ndarray, primal: Mapping[float, np.ndarray]) -> None:
    """Draw the least cosine of almost optimal gradients: of the dual, and of the primal for some s."""
    ax.semilogx(epsilons, lipschitz, color=COLORS["matched"], lw=2, label="dual, 1-Lipschitz, any $s$")
    for (s, cosines), color in zip(primal.items(), ("linear", "noise"), strict=True):
        ax.semilogx(epsilons, cosines, color=COLORS[color], lw=2, label=f"primal, $s = {s}$")
    ax.set(xlabel=r"$\varepsilon$", ylabel="least cosine", title="The worst gradient")
    ax.set(ylim=(-1.1, 1.6), yticks=[-1, 0, 1])
    ax.legend(fontsize=9, loc="upper left")


def condition(ax: Axes, slopes: np.ndarray, widths: np.ndarray, excess: np.ndarray, met: np.ndarray) -> None:
    """Draw VAE - AAE - log 4 over encoders N(a x, s^2), (slopes, widths), and where a condition is met."""
    picture = ax.pcolormesh(slopes, widths, excess.T, cmap="cividis")
    ax.contour(slopes, widths, met.T, [0.5], colors="white", linestyles="--")
    ax.text(0.1, 0.9, "condition fails", color="white", fontsize=10)
    ax.text(0.5, 0.16, "condition holds", color="white", fontsize=10)
    ax.set(yscale="log", xlabel="slope $a$", ylabel="width $s$", title=r"VAE $-$ AAE $-\,\log 4$")
    ax.figure.colorbar(picture, ax=ax)


def bounds_of_js(ax: Axes, pairs: np.ndarray) -> None:
    """Draw JS against KL of pairs of laws, (n, 2) as KL and JS, and what bounds it."""
    grid = np.geomspace(1e-4, 20, 200)
    ax.loglog(pairs[:, 0], pairs[:, 1], ".", ms=4, color=COLORS["noise"], label="pairs of laws")
    ax.loglog(grid, grid / 2, color=COLORS["matched"], label="KL / 2")
    ax.loglog(grid, np.sqrt(grid) / 2, "--", color=COLORS["linear"], label=r"$\sqrt{KL}\,/\,2$, the paper's step")
    ax.loglog(grid, grid, ":", color=COLORS["prior"], label="KL")
    ax.axvline(0.25, color="0.7", lw=0.8)
    ax.set(xlabel="KL", ylabel="JS", title="What bounds JS", xlim=(5e-5, 30), ylim=(1e-5, 30))
    ax.legend(fontsize=9)


def objectives(ax: Axes, sigmas: np.ndarray, rows: np.ndarray) -> None:
    """Draw AAE, AVB, VAE and the likelihood (columns) against the decoder's deviation."""
    styles = {"AAE": ("matched", "-"), "AVB": ("slerp", "--"), "VAE": ("linear", "-")}
    for column, (kind, (color, style)) in enumerate(styles.items()):
        ax.plot(sigmas, rows[:, column], style, color=COLORS[color], label=kind)
    ax.plot(sigmas, rows[:, 3], ":", color=COLORS["prior"], label=r"$-E\log p_G(X)$")
    ax.set(xlabel=r"$\sigma$ of the decoder", title=r"Objectives, decoder $2\tanh z$")
    ax.legend(fontsize=9)


def eight_points(models: Mapping[tuple[str, float], Mapping[str, Any]], keys: Sequence[tuple[str, float]]) -> Figure:
    """Draw the codes of eight data points, one shade each, and what they are decoded to: Figure 1.

    ``models`` holds what `figure1.examine` returns, by kind and sigma^2.
    """
    fig, axes = plt.subplots(2, len(keys), figsize=(3 * len(keys), 6.2))
    marks, rows = plt.get_cmap("twilight")(np.linspace(0.08, 0.92, 8)), np.tile(np.arange(8), 150)
    for (kind, variance), column in zip(keys, axes.T, strict=True):
        found = models[kind, variance]
        for ax, name, limit in zip(column, ("codes", "decoded"), (3.6, 1.4), strict=True):
            ax.scatter(*found[name][: len(rows)].T, s=4, color=marks[rows])
            ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
        column[0].set_title(rf"{kind}, $\sigma^2 = {variance}$")
        column[1].scatter(*CIRCLE.T, s=70, marker="s", facecolors="none", edgecolors=COLORS["matched"])
    axes[0, 0].set_ylabel("codes")
    axes[1, 0].set_ylabel("decoded, and data (squares)")
    return fig
