"""People's own images and codes: folders in, models, pictures and words out."""

import json
import os
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import ot_latent as otl
from ot_latent.cli import main
from ot_latent.datasets import MissingDataError, SkippedImagesWarning
from ot_latent.datasets.sources import open_source
from ot_latent.own import choosing, pictures, report
from ot_latent.own import images as fitting
from ot_latent.own.plan import Plan

SMALL = {"latent_dim": 3, "width": 4, "epochs": 2, "iterations": 10, "precision": "float32"}
N = 100


def discs(n, seed=0, channels=3):
    """Bytes (n, 40, 44, 3): a disc of random place, size and colour."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:40, :44]
    at, size = rng.uniform(10, 30, (n, 2, 1, 1)), rng.uniform(4, 10, (n, 1, 1))
    inside = (y - at[:, 0]) ** 2 + (x - 1.5 - at[:, 1]) ** 2 < size**2  # as often left of the middle as right
    colours = rng.integers(60, 256, (n, 1, 1, channels))
    return np.broadcast_to(inside[..., None] * colours, (n, 40, 44, 3)).astype(np.uint8)


def written(folder, images):
    folder.mkdir(parents=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i:04}.png")
    return folder


@pytest.fixture(scope="module", autouse=True)
def decoded(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of images with one that is broken."""
    folder = written(tmp_path_factory.mktemp("own") / "photos", discs(N))
    (folder / "broken.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def fitted(photos):
    """The command as its help has it, on small settings: where it ran, and what it printed."""
    where = photos.parent
    for name, image in zip("ab", discs(2, 1), strict=True):
        Image.fromarray(image).save(where / f"{name}.png")
    return where, run_example("fit", where, "--latent-dim 3 --width 4 --epochs 2 --iterations 10")


def run_example(command, where, more=""):
    help_ = CliRunner().invoke(main, [command, "--help"]).output
    words = help_.split("Example:\n")[1].splitlines()[0].split()
    before = Path.cwd()
    os.chdir(where)
    try:
        result = CliRunner().invoke(main, [*words[1:], *more.split()])
    finally:
        os.chdir(before)
    assert result.exit_code == 0, result.output
    return result


def test_one_command_makes_a_model_pictures_and_a_report(fitted):
    where, result = fitted
    model = where / "model"
    names = {path.name for path in model.iterdir()} - {"fit.lock"}
    pictures_ = {"samples.png", "reconstructions.png", "walk.gif"}
    assert names == {"model.safetensors", "card.json", "plan.json", "report.md"} | pictures_
    assert "broken.png" in result.stderr and "1 of 101" in result.stderr
    chosen = json.loads((model / "plan.json").read_text(encoding="utf-8"))["plan"]
    assert (chosen["side"], chosen["channels"], chosen["mirrored"]) == (32, 3, True)
    for name, value in chosen.items():
        assert f"{name} {value}" in result.stdout  # all that was chosen is printed
    words = (model / "report.md").read_text(encoding="utf-8")
    assert "Of 101 images 1 could not be read; 84 were fitted and 16 held out" in words
    for word in ("Reconstructions", "Detail", "Law", "Spread", "Coverage", "Memorisation"):
        assert f"**{word}.**" in words
    assert words in result.stdout
    assert Image.open(model / "walk.gif").n_frames == 32
    assert json.loads((model / "card.json").read_text(encoding="utf-8"))["scores"]["codes"]["held_out"] == 16


def test_the_examples_of_sample_and_interpolate_run(fitted):
    where, _ = fitted
    run_example("sample", where)
    assert Image.open(where / "samples.png").size == (2 * (8 * 34 - 2), 2 * (8 * 34 - 2))
    run_example("interpolate", where)
    assert Image.open(where / "walk.gif").n_frames == 9
    strip = run_example("interpolate", where, "--out strip.png --steps 5")
    assert strip.stdout.split() == ["strip.png"]
    assert Image.open(where / "strip.png").size[0] == 2 * (5 * 34 - 2)


def test_a_model_is_loaded_as_it_was_saved(fitted, tmp_path):
    where, _ = fitted
    model = otl.load(where / "model")
    assert isinstance(model, otl.ImageModel) and "84 codes, d=3" in repr(model)
    images = model.sample(5)
    assert images.shape == (5, 3, 32, 32) and 0 <= images.min() <= images.max() <= 1
    again = otl.load(model.save(tmp_path / "copy"))
    torch.testing.assert_close(again.sample(5), images, rtol=0, atol=0)
    assert (again.card, again.report) == (model.card, model.report)


def test_a_walk_begins_and_ends_at_the_reconstructions(fitted):
    where, _ = fitted
    model = otl.load(where / "model")
    ends = [where / "a.png"], [where / "b.png"]
    walk = model.interpolate(*ends, steps=4)
    assert walk.shape == (4, 1, 3, 32, 32)
    for step, end in ((0, ends[0]), (-1, ends[1])):
        torch.testing.assert_close(walk[step], model.decode(model.encode(end)), rtol=1e-3, atol=1e-4)
    pixels = np.stack([np.asarray(Image.open(path)) for path in (*ends[0], *ends[1])])
    squares = pixels[:, :, 2:42]  # what is taken of images that are wider than high
    torch.testing.assert_close(model.encode(squares), model.encode([*ends[0], *ends[1]]), rtol=0.2, atol=0.2)


def test_what_was_killed_goes_on_and_ends_the_same(photos, tmp_path, monkeypatch):
    def fit(folder):
        with pytest.warns(SkippedImagesWarning, match=re.escape("broken.png")):
            return otl.fit_images(photos, folder, **SMALL)

    whole = fit(tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "_judge", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fit(tmp_path / "broken")
    told = []
    monkeypatch.setattr("ot_latent.training.loop.Training.take", lambda *_: told.append("a step was taken again"))
    resumed = fit(tmp_path / "broken")
    assert told == []
    torch.testing.assert_close(resumed.sample(4), whole.sample(4), rtol=0, atol=0)
    assert not (tmp_path / "broken" / "unfinished").exists()
    monkeypatch.setattr(fitting, "fitted", lambda *_, **__: 1 / 0)  # what is finished is only loaded
    (tmp_path / "whole" / "unfinished").mkdir()  # as of a run that was killed when all was written
    torch.testing.assert_close(otl.fit_images(photos, tmp_path / "whole").sample(4), whole.sample(4))
    assert not (tmp_path / "whole" / "unfinished").exists()


def test_a_folder_of_another_fit_is_not_overwritten(fitted, photos, tmp_path):
    where, _ = fitted
    with pytest.raises(ValueError, match="latent_dim 3, not 5"):
        otl.fit_images(photos, where / "model", latent_dim=5)
    others = written(tmp_path / "others", discs(70, 3))
    with pytest.raises(ValueError, match="a fit of other images"):
        otl.fit_images(others, where / "model")


def test_few_images_and_none_are_clear_errors(tmp_path):
    few = written(tmp_path / "few", discs(63))
    with pytest.raises(MissingDataError, match="holds 63 images.*fewer than 64"):
        otl.fit_images(few, tmp_path / "model")
    result = CliRunner().invoke(main, ["fit", str(few), "--out", str(tmp_path / "model")])
    assert result.exit_code == 1 and "fewer than 64" in result.stderr and "Traceback" not in result.output
    with pytest.raises(MissingDataError, match="does not exist"):
        otl.fit_images(tmp_path / "nowhere", tmp_path / "model")


def test_a_zip_of_grey_images_makes_a_grey_model(tmp_path):
    folder = written(tmp_path / "grey", discs(80, channels=1))
    with zipfile.ZipFile(tmp_path / "grey.zip", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    model = otl.fit_images(tmp_path / "grey.zip", **SMALL)
    assert model.channels == 1 and model.sample(2).shape == (2, 1, 32, 32)
    with pytest.raises(ValueError, match="grey"):
        model.encode(discs(1))


def test_the_plan_follows_the_images(tmp_path):
    large = discs(80).repeat(2, 1).repeat(2, 2)
    assert choosing.form(open_source(written(tmp_path / "large", large)), {}) == (64, 3)
    planes = np.moveaxis(discs(3_000), 3, 1)[..., 4:36, 6:38]
    assert choosing.looks_the_same_mirrored(planes)
    half = planes.copy()
    half[..., 16:] = 0  # discs on the left
    assert not choosing.looks_the_same_mirrored(half)
    flat = np.broadcast_to(np.random.default_rng(0).integers(0, 256, (900, 1, 1, 1), np.uint8), (900, 1, 32, 32))
    assert choosing.dimension(flat) == 2  # one is enough, and two are the least
    noise = np.random.default_rng(0).integers(0, 256, (900, 1, 32, 32), np.uint8)
    assert choosing.dimension(noise) == 30  # the root of how many there are


FEW = choosing.Trials(fewest=64, most=240, width=4, steps=40, iterations=5, minutes=0)
PLAN = Plan(32, 3, 3, 4, False, 0, 32, "float32", 20, 0)


def test_a_trial_is_of_new_images_and_goes_on_where_it_was_killed(tmp_path, monkeypatch):
    images, told = np.moveaxis(discs(300), 3, 1)[..., 4:36, 6:38], []
    where = {"work": tmp_path, "device": torch.device("cpu"), "save_seconds": 0.0}
    best = choosing.best_dimension(PLAN, images, FEW, 7.0, told.append, **where)
    assert told[:2] == ["Trial of 3 dimensions.", "Trial of 9 dimensions."] and told[2].endswith(f": {best} it is.")
    distances = [float(words.split()[0].replace(",", "")) for words in told[2].split(" is ")[1].split(", ")]
    assert all(0 < distance < np.inf for distance in distances)
    monkeypatch.setattr("ot_latent.training.loop.Training.take", lambda *_: 1 / 0)  # no step is taken again
    assert choosing.best_dimension(PLAN, images, FEW, 7.0, told.append, **where) == best
    assert told[5] == told[2]


@pytest.mark.parametrize(("larger", "best"), [(76.0, 3), (74.0, 9)])
def test_more_dimensions_are_taken_where_new_images_get_clearly_nearer_to_others(larger, best, tmp_path, monkeypatch):
    seen = {3: 100.0, 9: larger}
    monkeypatch.setattr(choosing, "_distance", lambda plan, split, where: seen[plan.latent_dim])
    images = np.zeros((300, 3, 64, 64), np.uint8)
    plan = replace(PLAN, side=64)
    assert choosing.best_dimension(plan, images, FEW, 7.0, lambda text: None, work=tmp_path) == best


def test_there_are_no_trials_of_few_images_in_little_time_or_of_what_was_asked_for(tmp_path):
    told = []
    images = np.broadcast_to(np.random.default_rng(0).integers(0, 256, (300, 1, 1, 1), np.uint8), (300, 1, 32, 32))
    asked = {"side": 32, "channels": 1, "seed": 0, "width": 4, "epochs": 2}
    where = {"work": tmp_path, "device": torch.device("cpu"), "save_seconds": 1e3}
    for asked_too, minutes, trials in (
        ({}, 7.0, choosing.Trials()),
        ({}, 1.0, replace(FEW, minutes=5.0)),
        ({"latent_dim": 2}, 7.0, FEW),
    ):
        plan = choosing.chosen(images, asked | asked_too, minutes, told.append, trials, **where)
        assert plan.latent_dim == asked_too.get("latent_dim", choosing.dimension(images))
    assert told == []


def test_coverage_and_memorisation_see_collapse_and_copies():
    rng = np.random.default_rng(0)
    codes, held_out = rng.standard_normal((900, 4)), rng.standard_normal((200, 4))

    class Stub:
        def __init__(self, drawn):
            self.drawn = drawn

        def sample(self, n, rng):
            return torch.from_numpy(self.drawn[:n])

    copies = report.code_scores(Stub(codes), codes, held_out)
    fresh = report.code_scores(Stub(rng.standard_normal((200, 4))), codes, held_out)
    collapsed = report.code_scores(Stub(np.zeros((200, 4))), codes, held_out)
    assert copies["nearest"][0] == 0 and "nearer to what was fitted" in report.code_words(copies)[3]
    assert fresh["nearest"][0] > 0.8 and "no copies" in report.code_words(fresh)[3]
    assert collapsed["coverage"][0] < 0.2 < 0.8 < fresh["coverage"][0] and collapsed["spread"][0] == 0


def test_codes_of_ones_own_get_a_map_samples_and_a_report(tmp_path):
    np.save(tmp_path / "codes.npy", np.random.default_rng(0).standard_normal((300, 5)) + 7)
    command = ["fit", str(tmp_path / "codes.npy"), "--out", str(tmp_path / "map"), "--iterations", "20"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    samples = np.load(tmp_path / "map" / "samples.npy")
    assert samples.shape == (10_000, 5) and abs(samples.mean() - 7) < 0.5
    assert "270 codes in 5 dimensions" in result.stdout
    torch.testing.assert_close(otl.load(tmp_path / "map").sample(10_000).numpy(), samples)
    result = CliRunner().invoke(main, [*command, "--width", "8"])
    assert result.exit_code == 2 and "--width is for images" in result.stderr
    sampled = CliRunner().invoke(main, ["sample", str(tmp_path / "map")])
    assert sampled.exit_code == 1 and "not a model of images" in sampled.stderr


@pytest.mark.parametrize("codes", [np.zeros((63, 3)), np.zeros(80), np.zeros((80, 2_049)), np.full((80, 3), "a")])
def test_what_is_no_file_of_codes_is_refused(tmp_path, codes):
    np.save(tmp_path / "codes.npy", codes)
    with pytest.raises(ValueError, match="at least 64 and d at most 2,048"):
        otl.fit_codes(tmp_path / "codes.npy", tmp_path / "map")
    (tmp_path / "codes.npy").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="no .npy file"):
        otl.fit_codes(tmp_path / "codes.npy", tmp_path / "map")


def test_pictures_keep_their_order_and_refuse_other_names(tmp_path):
    images = torch.linspace(0, 1, 3)[:, None, None, None].expand(3, 1, 64, 64)
    drawn = np.asarray(pictures.sheet(images, columns=2))
    assert drawn.shape == (130, 130) and drawn[0, 0] == 0 and drawn[0, 70] == 128 and drawn[70, 0] == 255
    with pytest.raises(ValueError, match="must end in"):
        pictures.save(tmp_path / "samples.txt", [pictures.sheet(images)])
