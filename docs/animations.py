"""Make the four animations of the website, each from the first seed.

    python docs/animations.py          # all of them, minutes; writes docs/_static/animations/
    python docs/animations.py walk     # one

Each is a loop (WebP) and its first frame as a still (PNG), which is what those see who want less motion.
"""

import argparse
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch
from matplotlib.figure import Figure
from PIL import Image
from tqdm import tqdm

import ot_latent as otl
from ot_latent import training
from ot_latent._storage import write_atomically
from ot_latent.brenier import transport
from ot_latent.datasets import EIGHT_CENTERS
from ot_latent.models import checkpoints
from ot_latent.paper.figures import use_style

FOLDER = Path(__file__).parent / "_static" / "animations"
WIDTH, DPI = 7.0, 100  # inches; 700 pixels
Frame = tuple[Image.Image, int]  # and how long it is shown, in milliseconds


def picture(figure: Figure) -> Image.Image:
    """What is drawn, as an image; the layout of the first one stays."""
    figure.canvas.draw()
    figure.set_layout_engine("none")
    return Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")


def densities(pairs: int = 500_000, steps: int = 24) -> Iterable[Frame]:
    """Where points of all paths are, as t runs from one end to the other."""
    priors = {"uniform": (otl.Uniform(-1, 1), 1.25), "Gaussian": (otl.Gaussian(0, 1), 3.0)}
    fig, axes = plt.subplots(2, 4, figsize=(WIDTH, 4.2), sharex="row", sharey="row")
    shown, ways = {}, ("prior", "linear", "slerp", "matched")
    for row, (name, (prior, span)) in zip(axes, priors.items(), strict=True):
        row[0].set_ylabel(f"{name} prior")
        scale = plt.Normalize(0, prior.combine([0.5, 0.5]).pdf(0.0) ** 2)  # linear midpoints are the densest
        for ax, way in zip(row, ways, strict=True):
            style = {"origin": "lower", "extent": [-span, span] * 2, "interpolation": "bilinear", "norm": scale}
            shown[name, way] = ax.imshow(np.zeros((50, 50)), **style)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
    for ax, title in zip(axes[0], ("prior", "linear", "SLERP", "matched"), strict=True):
        ax.set_title(title)
    title = fig.suptitle("")
    ends = {name: prior.sample((3, pairs, 2), 0, like=np.zeros(1, np.float32)) for name, (prior, _) in priors.items()}
    for t in np.linspace(0.5, 1.5, 2 * steps, endpoint=False) % 1:  # the first frame is that of midpoints
        title.set_text(f"where all paths are at t = {t:.2f}")
        for name, (prior, span) in priors.items():
            z, *pair = ends[name]
            paths = z, otl.interpolate(*pair, t), otl.slerp(*pair, t), otl.interpolate(*pair, t, prior=prior)
            for way, y in zip(ways, paths, strict=True):
                grid = np.histogram2d(*y.T, bins=50, range=[[-span, span]] * 2)[0].T / pairs * (25 / span) ** 2
                shown[name, way].set_data(grid)
        yield picture(fig), 1_500 if t in (0, 0.5) else 80


def flow(points: int = 1_000, steps: int = 24, tolerance: float = 0.01) -> Iterable[Frame]:
    """Noise carried to eight clusters, by the network D and by the exact map onto 256 codes."""
    noise = np.random.default_rng(0).standard_normal((points, 2)).astype(np.float32)
    network = transport(checkpoints.load("eight-gaussians-slow"), torch.from_numpy(noise)).numpy()
    _, codes, _ = training.toy_problem(0)  # which this network was fitted to
    exact = otl.SemiDiscreteOT(tolerance=tolerance).fit(codes).transport(noise)
    fig, axes = plt.subplots(1, 2, figsize=(WIDTH, 4.1))
    clouds, palette = [], np.array(sns.color_palette("colorblind", 8))
    for ax, (name, image) in zip(axes, {"network": network, "exact, 256 codes": exact}.items(), strict=True):
        nearest = np.linalg.norm(image[:, None] - EIGHT_CENTERS, axis=-1).argmin(1)
        clouds.append((ax.scatter(*noise.T, s=5, c=palette[nearest], lw=0), image))
        ax.plot(*EIGHT_CENTERS.T, "k+", ms=8)
        ax.set(title=name, aspect="equal", xlim=(-13, 13), ylim=(-13, 13), xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    title = fig.suptitle("")
    for s in (1 - np.cos(np.linspace(0, np.pi, steps + 1))) / 2:  # slow, fast, slow
        title.set_text(f"$z + s\\,\\nabla D(z)$, s = {s:.2f}")
        for cloud, image in clouds:
            cloud.set_offsets(noise + s * (image - noise))
        yield picture(fig), 2_000 if s in (0, 1) else 80


def heights_of_fit(codes: np.ndarray, tolerance: float) -> Iterable[tuple[int, np.ndarray]]:
    """Heights of `SemiDiscreteOT` after ever more steps, from those of nearest codes to those that are certified."""
    heights = -np.square(codes).sum(1) / 2
    yield 0, heights
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", otl.semidiscrete.ConvergenceWarning)  # fits are ended early on purpose
        for most in np.unique(np.geomspace(1, 20_000, 80).astype(int)):
            fit = otl.SemiDiscreteOT(tolerance=tolerance, max_steps=int(most)).fit(codes, heights=heights)
            yield fit.steps, fit.heights
            if fit.converged:
                return


def cells(count: int = 20, side: int = 320, tolerance: float = 0.002) -> Iterable[Frame]:
    """Cells of codes that grow and shrink as heights are fitted, until all hold the same mass of the noise."""
    rng = np.random.default_rng(0)
    codes, noise = rng.normal((0.6, 0.3), (1.2, 0.7), (count, 2)), rng.standard_normal((200_000, 2))
    plane = np.stack(np.meshgrid(*[np.linspace(-3, 3, side)] * 2), -1).reshape(-1, 2)
    fig, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.9), width_ratios=[1.3, 1])
    image = left.imshow(np.zeros((side, side, 4)), origin="lower", extent=[-3, 3] * 2)
    left.plot(*codes.T, "k.", ms=6)
    left.set(xticks=[], yticks=[], xlim=(-3, 3), ylim=(-3, 3))
    bars = right.bar(range(count), np.zeros(count))
    right.axhline(1 / count, color="black", ls="--", lw=1)
    right.set(xticks=[], xlabel="codes", ylabel="mass of the cell", ylim=(0, 0.25))
    *begin, last = heights_of_fit(codes, tolerance)
    for step, heights in (*begin, last):
        cell, of_noise = ((points @ codes.T + heights).argmax(1) for points in (plane, noise))
        masses, cell = np.bincount(of_noise, minlength=count) / len(noise), cell.reshape(side, side)
        colors = plt.colormaps["RdBu_r"](masses * count / 2)  # white where the mass is right
        drawn = colors[cell]
        drawn[1:, 1:][(np.diff(cell, axis=0)[:, 1:] != 0) | (np.diff(cell, axis=1)[1:] != 0)] = 0, 0, 0, 1
        image.set_data(drawn)
        left.set_title(f"after {step:,} steps" if step else "each point to its nearest code")
        for bar, mass, color in zip(bars, masses, colors, strict=True):
            bar.set(height=mass, facecolor=color, edgecolor="black", lw=0.6)
        yield picture(fig), 2_000 if step in (0, last[0]) else 120


def walk(name: str = "fairface-dcgan", stops: int = 4, steps: int = 12) -> Iterable[Frame]:
    """A closed path through generated faces, in three ways side by side, with the norm of the point."""
    G = otl.generators.load(name)
    points, radius = G.sample(stops, 0), (G.latent_dim * G.prior.var) ** 0.5
    fig, axes = plt.subplots(1, 3, figsize=(WIDTH, 2.95))
    blank = np.zeros(G(points[:1])[0].shape).transpose(1, 2, 0)
    shown = [ax.imshow(blank, interpolation="bicubic") for ax in axes]
    for ax in axes:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for place in range(steps // 2, steps // 2 + stops * steps):  # the first frame is a midpoint
        start, t = place // steps % stops, place % steps / steps
        pair = points[(start + 1) % stops], points[start]
        ways = {
            "linear": otl.interpolate(*pair, t),
            "SLERP": otl.slerp(*pair, t),
            "matched": otl.interpolate(*pair, t, prior=G.prior),
        }
        for ax, image, (way, z) in zip(axes, shown, ways.items(), strict=True):
            image.set_data(G(z).clamp(0, 1).numpy().transpose(1, 2, 0))
            ax.set_title(way)
            ax.set_xlabel(f"norm {float(z.norm()) / radius:.2f} times the prior's")
        yield picture(fig), 600 if t in (0, 0.5) else 100


ANIMATIONS: dict[str, tuple[Callable[..., Iterable[Frame]], int]] = {  # and the quality of its WebP
    "densities": (densities, 75),
    "flow": (flow, 60),
    "cells": (cells, 60),
    "walk": (walk, 35),
}


def make(name: str, folder: Path = FOLDER, **sizes: float) -> None:
    """Write one animation and its first frame."""
    function, quality = ANIMATIONS[name]
    use_style()
    plt.rcParams["figure.dpi"] = DPI
    frames = tqdm(function(**sizes), desc=name, unit="frame")
    images, durations = zip(*frames, strict=True)
    plt.close("all")
    loop = {"save_all": True, "append_images": images[1:], "duration": list(durations), "loop": 0}
    write_atomically(folder / f"{name}.webp", partial(images[0].save, format="WEBP", quality=quality, method=4, **loop))
    write_atomically(folder / f"{name}.png", partial(images[0].quantize().save, format="PNG", optimize=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(ANIMATIONS)}; all by default")
    parser.add_argument("--out", type=Path, default=FOLDER, help="default: %(default)s")
    options = parser.parse_args()
    if unknown := set(options.names) - set(ANIMATIONS):
        parser.error(f"no animation is called {', '.join(sorted(unknown))}; there are {', '.join(ANIMATIONS)}")
    for name in options.names or ANIMATIONS:
        make(name, options.out)
