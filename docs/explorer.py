"""Tabulate the explorer page: all pictures, norms and verdicts that it shows, so that the page computes nothing.

    python docs/explorer.py    # minutes; writes docs/_static/explorer/

Pictures of an operation lie in one sprite: a row for each pair of seeds and way, a column for each place.
"""

import argparse
import itertools
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

import ot_latent as otl
from ot_latent._storage import write_atomically
from ot_latent.models.generators import Generator

FOLDER = Path(__file__).parent / "_static" / "explorer"
GENERATORS = {
    "fairface-dcgan": "faces, DCGAN",
    "mnist-dcgan-gaussian": "digits, DCGAN",
    "logos-dcgan-uniform": "logos, DCGAN",
    "cifar10-dcgan": "objects, DCGAN",
}
SEEDS = 4
PLACES = 17  # of a path, both ends counted
POINTS = 1_000  # that a verdict is about
STEP = 0.5  # of a random walk, in units of the prior
QUALITY = 75  # of the WebP pictures


# An operation takes what two seeds draw, (places - 1, n, d) each, and gives a path of n points by way: (places, n, d).
def interpolation(first: torch.Tensor, second: torch.Tensor, prior: Any) -> dict[str, torch.Tensor]:
    """From the first point of one seed to that of the other."""
    t = torch.linspace(1, 0, len(first) + 1)[:, None, None]
    ends = first[0], second[0]
    return {
        "linear": otl.interpolate(*ends, t),
        "SLERP": otl.slerp(*ends, t),
        "matched": otl.interpolate(*ends, t, prior=prior),
    }


def vicinity(first: torch.Tensor, second: torch.Tensor, prior: Any) -> dict[str, torch.Tensor]:
    """Neighbours of the first seed's point in the direction of the second's, ever further away."""
    eps = torch.linspace(0, 1, len(first) + 1)[:, None, None]
    ways = {"linear": None, "matched": prior}
    return {way: otl.vicinity(first[0], eps, noise=second[0], prior=law) for way, law in ways.items()}


def random_walk(first: torch.Tensor, second: torch.Tensor, prior: Any) -> dict[str, torch.Tensor]:
    """A walk from the first seed's point with steps of the second seed."""
    ways = {"linear": None, "matched": prior}
    return {way: otl.random_walk(first[0], len(second), STEP, second, law) for way, law in ways.items()}


OPERATIONS = {"interpolation": interpolation, "vicinity": vicinity, "random walk": random_walk}


def relative_norms(G: Generator, path: torch.Tensor) -> np.ndarray:
    """Norms over the root mean square norm of the prior: (places, n, d) -> (n, places)"""
    return (path.double().norm(dim=-1) / (G.latent_dim * G.prior.var) ** 0.5).T.numpy().round(3)


def verdicts(G: Generator, path: torch.Tensor) -> list[tuple[bool, str]]:
    """What `check_prior` says of the points at each place, and whether they pass."""
    checks = [otl.check_prior(points, G.prior) for points in path]
    return [(check.ok, str(check)) for check in checks]


def sprite(images: Sequence[torch.Tensor]) -> Image.Image:
    """Images by way, (places, pairs, channels, h, w) each, as one picture: pairs and ways down, places across."""
    pixels = (255 * torch.stack(list(images)).clamp(0, 1)).round().byte()
    ways, places, pairs, channels, height, width = pixels.shape
    rows = pixels.permute(2, 0, 4, 1, 5, 3).reshape(pairs * ways * height, places * width, channels)
    return Image.fromarray(rows.numpy().squeeze())


def tabulate(
    G: Generator, operation: Callable[..., Any], seeds: int, places: int, points: int
) -> tuple[dict[str, Any], Image.Image]:
    """Norms and verdicts by way, and the sprite, of all ordered pairs of seeds."""
    drawn = torch.stack([G.sample(places - 1, seed) for seed in range(seeds)], 1)
    first, second = np.array(list(itertools.permutations(range(seeds), 2))).T
    paths = operation(drawn[:, first], drawn[:, second], G.prior)
    many = operation(*G.sample((2, places - 1, points), seeds), G.prior)
    table = {
        way: {"norms": relative_norms(G, path).tolist(), "verdicts": verdicts(G, many[way])}
        for way, path in paths.items()
    }
    return table, sprite([G(path) for path in paths.values()])


def main(folder: Path = FOLDER, seeds: int = SEEDS, places: int = PLACES, points: int = POINTS) -> None:
    """Write the sprites and ``data.js``, which names them."""
    data: dict[str, Any] = {"seeds": seeds, "places": places, "generators": {}}
    for name, title in tqdm(GENERATORS.items(), unit="generator"):
        G = otl.generators.load(name)
        title = f"{title} ({type(G.prior).__name__} prior, {G.latent_dim} dimensions)"
        entry = data["generators"][name] = {"title": title, "operations": {}}
        for kind, operation in OPERATIONS.items():
            ways, picture = tabulate(G, operation, seeds, places, points)
            file = f"{name}-{kind.replace(' ', '-')}.webp"
            write_atomically(folder / file, partial(picture.save, format="WEBP", quality=QUALITY, method=6))
            entry["operations"][kind] = {"sprite": file, "ways": ways}
    text = f"window.EXPLORER = {json.dumps(data, separators=(',', ':'))};\n"
    write_atomically(folder / "data.js", text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER, help="default: %(default)s")
    main(parser.parse_args().out)
