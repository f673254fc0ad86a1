"""Figures of notebooks 14 to 16, on Bousquet et al. (2017)."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from ot_latent.paper.figures import COLORS, image_rows
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
    fig, axes = plt.subplots(len(problems), 3, figsize=(11, 3.5 * len(problems)), squeeze=False)
    for row, (problem, sides) in zip(axes, problems.items(), strict=True):
        w1, solver = exact[problem]
        styles = {"primal": iter(":-"), "dual": iter(":-")}
        for label, side in sides.items():
            kind = "primal" if label.startswith("primal") else "dual"
            color = COLORS["matched" if kind == "primal" else "linear"]
            style = {"color": color, "ls": next(styles[kind]), "lw": 2, "label": label}
            error = abs(side.reported / w1 - 1)
            row[0].plot(side.steps, side.reported / w1, **style)
            row[0].plot(side.steps, side.certified / w1, **style | {"lw": 0.8, "label": f"{label}, certified"})
            row[1].semilogy(side.steps, error, **style)
            row[2].loglog(side.seconds, error, **style)
        row[0].axhline(1, color=COLORS["prior"], ls="--", lw=1)
        row[0].set(xlabel="steps", ylabel="value over exact $W_1$", ylim=(0, 2.3), title=f"{problem}: value")
        row[0].axvline(np.nan, color=COLORS["codes"], label="exact solver")
        row[2].axvline(solver, color=COLORS["codes"])
        row[1].set(xlabel="steps", title="error, by steps")
        row[2].set(xlabel="seconds of training", title="error, by time")
        row[2].xaxis.set_minor_formatter(plt.NullFormatter())
        for ax in row[1:]:
            ax.set(ylabel="relative error", ylim=(3e-3, 10))
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
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
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 0.65 * len(rows) + 0.3), width_ratios=[2, 1])
    image_rows(left, {name: pictures[:, None] for name, pictures in rows.items()})
    for place, found in enumerate(followed.values()):
        points = (-0.12, found.decoded, "o", "black", "decoded"), (0.12, found.best, "D", COLORS["codes"], "$E[X|Z]$")
        for shift, values, marker, color, label in points:
            ratio, (low, high) = ratio_of_paired_means(values, found.original)
            style = {"fmt": marker, "capsize": 3, "color": color, "label": label if place == 0 else None}
            right.errorbar(ratio, place + shift, xerr=[[ratio - low], [high - ratio]], **style)
    right.axvline(1, color=COLORS["prior"], ls="--", lw=1)
    right.set(yticks=range(len(followed)), yticklabels=followed, ylim=(len(followed) - 0.5, -0.5))
    right.set(xlabel="sharpness over the images' own")
    right.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return fig


def theorem1(pairs: Mapping[bool, np.ndarray], x: np.ndarray, z: np.ndarray) -> Figure:
    """Draw both values of Theorem 1, (k, 2) by kind of decoder (is it random?), and an optimal encoder's codes."""
    fig, axes = plt.subplots(1, 3, figsize=(11, 3.8))
    axes[0].axline((0, 0), slope=1, color="0.6", ls=":")
    for is_random, color, kind in ((True, "slerp", "random"), (False, "linear", "deterministic")):
        axes[0].plot(*pairs[is_random].T, ".", ms=4, color=COLORS[color], label=f"{kind} decoders")
    axes[0].set(xlabel="$W_c$, over couplings (1)", ylabel="over encoders (11)", title="Theorem 1")
    axes[0].legend(loc="lower right", handletextpad=0, markerscale=2)
    axes[1].plot(x, z[: len(x)], ".", ms=2, color=COLORS["codes"])
    axes[1].set(xlabel="data $x$", ylabel="code $z$", title="optimal encoder, $G(z) = z^2$")
    grid, filled = np.linspace(-4, 4, 201), {"histtype": "stepfilled", "color": COLORS["codes"], "alpha": 0.6}
    axes[2].hist(z, 80, range=(-4, 4), density=True, label="$Q_Z$", **filled)
    axes[2].plot(grid, stats.norm.pdf(grid), color=COLORS["prior"], label="$P_Z$")
    axes[2].set(xlabel="code $z$", ylabel="density", title="its codes follow the prior")
    axes[2].legend()
    return fig


def relaxation(weights: np.ndarray, curves: Mapping[str, np.ndarray], exact: float, predicted: float) -> Figure:
    """Draw W^lambda and mu_lambda (columns of the curves) against lambda, and the gap to W.

    ``predicted`` over lambda is the first order of the gap of the Kullback-Leibler penalty.
    """
    fig, axes = plt.subplots(1, 3, figsize=(11, 3.8))
    for (name, curve), color in zip(curves.items(), ("matched", "linear"), strict=True):
        style = {"color": COLORS[color], "lw": 2, "label": name}
        axes[0].semilogx(weights, curve[:, 0], **style)
        axes[1].semilogx(weights, curve[:, 1], **style)
        axes[2].loglog(weights, np.where(exact - curve[:, 0] > 1e-9, exact - curve[:, 0], np.nan), **style)
    axes[0].axhline(exact, color=COLORS["prior"], ls="--", label="$W_c$")
    axes[0].set(xlabel=r"weight $\lambda$", ylabel=r"relaxed cost $W^\lambda$", title="the cost rises")
    axes[1].set(xlabel=r"weight $\lambda$", ylabel=r"penalty $\mu_\lambda$ at the optimum", title="the penalty falls")
    axes[2].loglog(weights, predicted / weights, ":", color="0.3", label=r"$\mathrm{Var}(\psi^*) / 2\lambda$")
    axes[2].set(xlabel=r"weight $\lambda$", ylabel=r"gap $W_c - W^\lambda$", title="the gap closes", ylim=(1e-3, 5))
    lines = {line.get_label(): line for ax in axes for line in ax.lines}
    fig.legend(lines.values(), lines, loc="outside lower center", ncols=4)
    return fig


def identity(ratios: np.ndarray, spreads: Mapping[float, np.ndarray]) -> Figure:
    """Draw the spread over networks of 2 sigma^2 AAE - POT, by sigma^2, against lambda / 2 sigma^2."""
    fig, ax = plt.subplots(figsize=(8.5, 4.2))
    styles = zip(spreads.items(), ("linear", "matched", "codes"), ("-", "--", "-."), strict=True)
    for (variance, spread), color, style in styles:
        ax.loglog(ratios, spread, style, color=COLORS[color], lw=2, label=rf"$\sigma^2 = {variance:g}$")
    largest = max(spread[ratios == 1][0] for spread in spreads.values())
    ax.annotate(f"at 1: below {10 ** np.ceil(np.log10(largest)):.0e}", (1.15, 2.5e-5))
    ax.set(xlabel=r"weight $\lambda$ over $2\sigma^2$", ylabel="spread over networks / that of $D_{POT}$")
    ax.set(ylim=(1e-5, 30), title=r"$2\sigma^2 D_{AAE} - D_{POT}$ is constant where $\lambda = 2\sigma^2$")
    ax.legend(loc="lower left")
    return fig


def proposition2(sigmas: np.ndarray, star: np.ndarray, dagger: np.ndarray) -> Figure:
    """Draw both costs of one decoder, their minimisers against sigma, and what was found by descent."""
    c = np.linspace(0, 1.5, 301)
    fig, axes = plt.subplots(1, 3, figsize=(11, 4))
    linear, matched = COLORS["linear"], COLORS["matched"]
    for s, style in ((0.3, ":"), (0.6, "--"), (0.9, "-")):
        w2, bound = (1 - np.hypot(c, s)) ** 2, s**2 + (1 - c) ** 2
        axes[0].plot(c, w2, style, color=linear, label=rf"$W_2^2$, $\sigma = {s}$")
        axes[0].plot(c, bound, style, color=matched, label=rf"$W^\dagger$, $\sigma = {s}$")
        axes[0].plot(np.sqrt(1 - s**2), 0, "o", color=linear, clip_on=False)
        axes[0].plot(1, s**2, "o", color=matched)
    axes[0].set(xlabel="slope $c$", ylabel="cost", title="two costs of one decoder", ylim=(0, 2.9))
    axes[0].legend(ncols=2, fontsize=10, columnspacing=1, handlelength=1.5)
    s = np.linspace(0, 1, 201)
    for found, color, exact, label in (
        (star, linear, np.sqrt(1 - s**2), r"$c^*$ of $W_2$"),
        (dagger, matched, np.ones_like(s), r"$c^\dagger$ of $W^\dagger$"),
    ):
        axes[1].plot(s, exact, color=color, label=label)
        axes[1].plot(sigmas, found, "o", color=color, label="by SGD on (13)")
        axes[2].plot(s, (1 - exact) ** 2, color=color, label=label)
        axes[2].plot(sigmas, (1 - found) ** 2, "o", color=color)
    axes[1].set(xlabel=r"$\sigma$", ylabel="slope $c$", title="the minimisers", ylim=(0, 1.1))
    axes[1].legend(loc="lower left")
    axes[2].set(xlabel=r"$\sigma$", ylabel="$W_2^2(P_X, G(Z))$", title="sampled without the noise")
    axes[2].legend()
    return fig


def spoiled_witness(ax: Axes, witness: Witness, far: float) -> None:
    """Draw a witness of two points that is almost optimal, beside the best."""
    t = np.linspace(-1, 1, 2001)
    ax.plot(t, abs(t), color=COLORS["prior"], ls="--", label="$f^*$, the best")
    ax.plot(t, witness(t), color=COLORS["matched"], label=r"$f_\varepsilon$, $\varepsilon = 0.2$")
    ax.plot([-far, far], [far, far], "o", color=COLORS["codes"], label="generated")
    ax.plot([-1, 1], [1, 1], "s", color=COLORS["linear"], label="data")
    ax.set(xlabel="$t$", ylabel="witness", title="a spoiled witness", ylim=(0, 1.9))
    ax.legend(loc="upper center")


def smooth_witnesses(
    ax: Axes, best: Witness, turned: Witness, by_program: tuple[np.ndarray, np.ndarray], points: np.ndarray
) -> None:
    """Draw the slopes of smooth witnesses: the best (and by linear programming), and an almost best one."""
    t = np.linspace(-1, 1, 2001)
    places, slopes = by_program
    inset = ax.inset_axes((0.6, 0.04, 0.38, 0.25), xlim=(-0.06, 0.06), ylim=(-0.2, 0.5), xticks=[], yticks=[])
    inset.spines[:].set(visible=True, color="0.7")
    for each in (ax, inset):
        each.plot(t, np.sign(t), color=COLORS["prior"], ls="--", label="of $f^*$")
        each.plot(t, best(t), color=COLORS["linear"], label="of $h^*$, $p = 0.4$")
        each.plot(places[::25], slopes[::25], ".", color=COLORS["linear"], label="of $h^*$, by LP")
        each.plot(t, turned(t), color=COLORS["matched"], label=r"of $h_\varepsilon$, $p = 0.5$")
        each.axhline(0, color="0.7", lw=0.8, zorder=0)
        each.plot(points, best(points), "o", color=COLORS["codes"], label="generated")
    ax.indicate_inset_zoom(inset)
    ax.set(xlabel="$t$", ylabel="slope", title="slopes of smooth witnesses", xlim=(-0.5, 0.5), ylim=(-1.1, 3))
    ax.set_yticks([-1, 0, 1])
    ax.legend(loc="upper left")


def worst_gradients(ax: Axes, epsilons: np.ndarray, lipschitz: np.ndarray, primal: Mapping[float, np.ndarray]) -> None:
    """Draw the least cosine of almost optimal gradients: of the dual, and of the primal for some s."""
    ax.semilogx(epsilons, lipschitz, color=COLORS["matched"], lw=2, label="dual, 1-Lipschitz, any $s$")
    for (s, cosines), color in zip(primal.items(), ("linear", "noise"), strict=True):
        ax.semilogx(epsilons, cosines, color=COLORS[color], lw=2, label=f"primal, $s = {s}$")
    ax.set(xlabel=r"$\varepsilon$", ylabel="least cosine", title="the worst gradient")
    ax.set(ylim=(-1.1, 2.2), yticks=[-1, 0, 1])
    ax.legend(loc="upper left")


def condition(ax: Axes, slopes: np.ndarray, widths: np.ndarray, excess: np.ndarray, met: np.ndarray) -> None:
    """Draw VAE - AAE - log 4 over encoders N(a x, s^2), (slopes, widths), and where a condition is met."""
    picture = ax.pcolormesh(slopes, widths, excess.T, cmap="cividis")
    ax.contour(slopes, widths, met.T, [0.5], colors="white", linestyles="--")
    ax.text(0.1, 0.85, "condition fails", color="white", fontsize=11)
    ax.text(0.1, 0.2, "condition holds", color="white", fontsize=11)
    ax.set(yscale="log", xlabel="slope $a$ of the encoder", ylabel="its width $s$", title="VAE above AAE")
    ax.figure.colorbar(picture, ax=ax, label=r"VAE $-$ AAE $-\,\log 4$")


def bounds_of_js(ax: Axes, pairs: np.ndarray) -> None:
    """Draw JS against KL of pairs of laws, (n, 2) as KL and JS, and what bounds it."""
    grid = np.geomspace(1e-4, 20, 200)
    ax.loglog(pairs[:, 0], pairs[:, 1], ".", ms=4, color=COLORS["noise"], label="pairs of laws")
    ax.loglog(grid, grid / 2, color=COLORS["matched"], label="KL / 2")
    ax.loglog(grid, np.sqrt(grid) / 2, "--", color=COLORS["linear"], label=r"$\sqrt{KL}\,/\,2$, the paper's")
    ax.loglog(grid, grid, ":", color=COLORS["prior"], label="KL")
    ax.axvline(0.25, color="0.7", lw=0.8, label="KL = 1/4")
    ax.set(xlabel="KL", ylabel="JS", title="JS is below KL / 2", xlim=(5e-5, 30), ylim=(1e-7, 30))
    ax.legend(loc="lower right")


def objectives(ax: Axes, sigmas: np.ndarray, rows: np.ndarray) -> None:
    """Draw AAE, AVB, VAE and the likelihood (columns) against the decoder's deviation."""
    styles = {"AAE": ("AAE", "-"), "AVB": ("noise", "--"), "VAE": ("VAE", "-")}
    for column, (kind, (color, style)) in enumerate(styles.items()):
        ax.plot(sigmas, rows[:, column], style, color=COLORS[color], label=kind)
    ax.plot(sigmas, rows[:, 3], ":", color=COLORS["prior"], label=r"$-E\log p_G(X)$")
    ax.set(xlabel=r"$\sigma$ of the decoder", ylabel="objective", title=r"decoder $2\tanh z$")
    ax.legend(loc="center", bbox_to_anchor=(0.55, 0.6), ncols=2, handlelength=1.4, columnspacing=1)


def eight_points(models: Mapping[tuple[str, float], Mapping[str, Any]], keys: Sequence[tuple[str, float]]) -> Figure:
    """Draw the codes of eight data points, one colour each, and what they are decoded to: Figure 1.

    ``models`` holds what `figure1.examine` returns, by kind and sigma^2.
    """
    fig, axes = plt.subplots(2, len(keys), figsize=(2.6 * len(keys), 5.6), sharex="row", sharey="row")
    marks, rows = np.array(sns.color_palette("colorblind", 8)), np.tile(np.arange(8), 150)
    for (kind, variance), column in zip(keys, axes.T, strict=True):
        found = models[kind, variance]
        for ax, name, limit in zip(column, ("codes", "decoded"), (3.6, 1.4), strict=True):
            ax.scatter(*found[name][: len(rows)].T, s=4, color=marks[rows])
            ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
        column[0].set_title(rf"{kind}, $\sigma^2 = {variance}$")
        column[1].scatter(*CIRCLE.T, s=70, marker="s", color=marks, edgecolors="black")
    axes[0, 0].set_ylabel("codes")
    axes[1, 0].set_ylabel("decoded, and data (squares)")
    return fig
