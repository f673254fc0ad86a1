"""The explorer page and notebook, and the animations: what is committed, and the scripts at a tiny size."""

import importlib.util
import json
import re
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import torch
from PIL import Image

import ot_latent as otl

DOCS = Path(__file__).resolve().parents[2] / "docs"
STATIC = DOCS / "_static"


def script(name):
    """A script of docs/, as a module."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


explorer, animations = script("explorer"), script("animations")


def table(folder):
    """What data.js holds."""
    begin, text = "window.EXPLORER = ", (folder / "data.js").read_text(encoding="utf-8")
    assert text.startswith(begin)
    return json.loads(text[len(begin) :].rstrip(";\n"))


@pytest.fixture(scope="module")
def shown():
    return table(explorer.FOLDER)


def test_the_explorer_is_small():
    assert sum(path.stat().st_size for path in explorer.FOLDER.iterdir()) <= 3_000_000


def check_sprites(data, folder):
    """Every sprite that is named holds every picture, and no other file is there."""
    pairs, named = data["seeds"] * (data["seeds"] - 1), {"data.js"}
    for generator in data["generators"].values():
        for operation in generator["operations"].values():
            named.add(operation["sprite"])
            width, height = Image.open(folder / operation["sprite"]).size
            side, ways = width / data["places"], operation["ways"]
            assert side in (32, 64) and height == side * pairs * len(ways)
            for way in ways.values():
                assert np.shape(way["norms"]) == (pairs, data["places"])
                assert len(way["verdicts"]) == data["places"]
    assert named == {path.name for path in folder.iterdir()}


def test_every_picture_is_there(shown):
    assert list(shown["generators"]) == list(explorer.GENERATORS)
    assert all(list(g["operations"]) == list(explorer.OPERATIONS) for g in shown["generators"].values())
    check_sprites(shown, explorer.FOLDER)


def test_the_script_makes_what_the_page_shows(tmp_path, monkeypatch):
    monkeypatch.setattr(explorer, "GENERATORS", {"mnist-vae": "digits"})
    explorer.main(tmp_path, seeds=3, places=3, points=50)
    check_sprites(table(tmp_path), tmp_path)


def test_norms_and_pictures_are_the_library_s(shown):
    """Those of one pair, from nothing but the library."""
    G, prior = otl.generators.load("mnist-dcgan-gaussian"), otl.Gaussian(0, 1)
    z = [G.sample(16, seed)[0] for seed in (2, 0)]  # pairs are 01 02 03 10 12 13 20
    t = torch.linspace(1, 0, shown["places"])[:, None]
    paths = {"linear": otl.interpolate(*z, t), "SLERP": otl.slerp(*z, t), "matched": otl.interpolate(*z, t, prior)}
    of = shown["generators"]["mnist-dcgan-gaussian"]["operations"]["interpolation"]
    sprite = np.asarray(Image.open(explorer.FOLDER / of["sprite"]).convert("L")) / 255
    for row, (way, path) in enumerate(paths.items()):
        assert np.allclose(of["ways"][way]["norms"][6], path.norm(dim=1) / 10, atol=0.001)
        picture = np.concatenate(list(G(path).numpy()[:, 0]), axis=1)
        tiles = sprite[32 * (6 * 3 + row) :][:32]
        assert np.abs(tiles - picture).mean() < 0.02  # WebP keeps this much


def test_verdicts_are_those_of_check_prior(shown):
    """Matched points pass as often as points of the prior, linear ones fail where the law differs most."""
    of = [g["operations"][name]["ways"] for g in shown["generators"].values() for name in explorer.OPERATIONS]
    failed = [not ok for ways in of for ok, _ in ways["matched"]["verdicts"]]
    assert np.mean(failed) <= 0.05  # expected: 0.01
    for ways in of:
        ok, text = ways["linear"]["verdicts"][shown["places"] // 2]
        assert not ok and text.startswith("These 1,000 points") and "left the prior" in text


def test_pages_name_files_that_exist():
    for page in ("explorer", "animations"):
        text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
        named = re.findall(r'(?:src|href|srcset)="([^"]+)"', text)
        assert named and all((DOCS / name).is_file() for name in named)
        notebooks = re.findall(r"\]\((notebooks/[^)]+)\)", text)
        assert notebooks and all((DOCS.parent / name).is_file() for name in notebooks)
        assert all(re.search(r'alt="[^"]{20,}"', image) for image in re.findall(r"<img[^>]*>", text))


@pytest.mark.parametrize("name", animations.ANIMATIONS)
def test_animations_are_small_loops_with_a_still(name):
    path = animations.FOLDER / f"{name}.webp"
    assert path.stat().st_size <= 400_000
    loop, still = Image.open(path), Image.open(animations.FOLDER / f"{name}.png")
    assert loop.n_frames > 20 and loop.info["loop"] == 0
    assert loop.size == still.size and loop.size[0] == 700
    first, quantized = (np.asarray(image.convert("RGB"), dtype=float) for image in (loop, still))
    assert np.abs(first - quantized).mean() < 5


SIZES = {
    "densities": {"pairs": 100, "steps": 2},
    "flow": {"points": 20, "steps": 2, "tolerance": 1.0},
    "cells": {"count": 4, "side": 20, "tolerance": 0.2},
    "walk": {"stops": 2, "steps": 2},
}


@pytest.mark.parametrize("name", animations.ANIMATIONS)
def test_animations_run(name, tmp_path):
    animations.make(name, tmp_path, **SIZES[name])
    assert Image.open(tmp_path / f"{name}.webp").n_frames > 1
    assert Image.open(tmp_path / f"{name}.png").size[0] == 700


def test_the_slider_of_notebook_03_computes_nothing(root):
    """All places of a path are in the browser when it was chosen, and the slider is linked there."""
    notebook = nbformat.read(root / "notebooks" / "03_monotone_maps.ipynb", as_version=4)
    room = {"otl": otl, "np": np, "plt": plt, "run": SimpleNamespace(rng=np.random.default_rng)}
    for cell in notebook.cells:
        if cell.id in ("cell-26", "cell-26b", "cell-26c", "cell-26d"):
            exec(cell.source, room)
    room["PLACES"], links = 3, []
    room["jslink"] = lambda *ends: links.append(ends)
    choice, place, stack = room["explorer"]().children
    assert links == [((place, "value"), (stack, "selected_index"))]
    assert place.max == len(stack.children) - 1 == 2

    def shown():
        return [
            re.findall('<img src="(.*?)".*?<b>(.*?)</b>(.*?)</div>', row.value, re.DOTALL) for row in stack.children
        ]

    def pictures(way):
        return [row[way][0] for row in shown()]

    before = pictures(2)
    assert len(set(before)) == 3 and all(picture.startswith("data:image/png;base64,") for picture in before)
    assert all([way for _, way, _ in row] == ["linear", "SLERP", "matched"] for row in shown())
    assert "left the prior" in shown()[1][0][2]
    choice.children[2].value = 5
    assert pictures(2)[0] != before[0] and pictures(2)[2] == before[2]  # the other end stays
    choice.children[1].value = "vicinity"
    assert all([way for _, way, _ in row] == ["linear", "matched"] for row in shown())
