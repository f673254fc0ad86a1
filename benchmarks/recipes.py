"""What each recipe is expected to take at `quick`: what `ot-latent train --list` says.

Here a step of each is timed. For a GPU it is estimated from the work of a step, whose operations and
multiplications are counted; nothing was measured on one. Exact transport to all codes is solved for
normal codes of the same number and dimension. Prints the table and writes it to benchmarks/recipes.md,
and the minutes to ot_latent/expected_minutes.json.

    python benchmarks/recipes.py                                      # half an hour
    python benchmarks/recipes.py mnist-ae --minutes /tmp/minutes.json   # a look
"""

import argparse
import json
import pathlib
import time
from functools import partial

import torch
from _report import table, write
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from training import best, one_step

from ot_latent import brenier
from ot_latent._regression import Regression
from ot_latent.face_sets import CELEBA_TRAIN, DrawnFaces
from ot_latent.networks import Potential
from ot_latent.recipes import RECIPES, Recipe, ToyRecipe
from ot_latent.training import toy_problem

OUT = pathlib.Path(__file__).with_suffix(".md")
MINUTES = OUT.parents[1] / "ot_latent" / "expected_minutes.json"
IMAGES = {
    "mnist": 60_000,
    "cifar10": 50_000,
    "icons": 3_604,
    "olivetti": 640,
    "drawn_faces": DrawnFaces.SPLITS["train"][0],
    "celeba": CELEBA_TRAIN,
}
MOST_WORK = 4e10  # number of codes, squared, times their dimension
STARTED, COMPUTED = 1e5, 1e13  # operations, and floating point operations, of a GPU in a second


class Work(TorchDispatchMode):
    """Counts the operations that PyTorch gives to a device, and those on floating point numbers in them."""

    started = computed = 0

    def __torch_dispatch__(self, function, types, arguments=(), settings=None):
        result = function(*arguments, **(settings or {}))
        self.started += 1
        if count := flop_registry.get(function.overloadpacket):
            self.computed += count(*arguments, **(settings or {}), out_val=result)
        return result

    @property
    def seconds(self):
        """On a GPU."""
        return self.started / STARTED + self.computed / COMPUTED


def measured(step, repeats):
    """Seconds of a step: the least here, and those that a GPU is expected to take."""
    here = best(step, repeats, torch.device("cpu"))
    with Work() as work:
        step()
    return here, work.seconds


def of_images(recipe, repeats):
    """Steps of a network of images, seconds of one here and on a GPU, and of what comes before."""
    steps = IMAGES[recipe.data] // (recipe.batch * recipe.critic_steps) * recipe.epochs["quick"]
    with one_step(recipe, recipe.batch, torch.device("cpu")) as step:
        return steps, *measured(step, repeats), 0, 0


def of_potential(recipe, repeats):
    """The same of D on normal codes, after what comes before its steps; the problem is solved in line."""
    dimension = RECIPES[recipe.autoencoder].arguments.get("latent_dim", 10)
    settings = brenier.LatentTransport(recipe.method)
    torch.manual_seed(0)
    count = min(IMAGES[recipe.data], int((MOST_WORK / dimension) ** 0.5))
    codes, start = torch.randn(count, dimension), time.perf_counter()
    with Work() as work:
        problems, loss = settings._method(codes, None)
    before = time.perf_counter() - start, work.seconds
    times = fitted(Potential(dimension), loss, problems, repeats)
    if recipe.method == "semidiscrete":
        # each of N codes takes a number of points of noise, and each of those N planes
        more = IMAGES[recipe.data] / count
        before, times = [more**2 * seconds for seconds in before], [more * each for each in times]
    return recipe.iterations["quick"], *times, *before


def of_toy(recipe, repeats):
    """The same of the full batches of the eight Gaussians."""
    noise, _, dual = toy_problem(0)
    points, phi = (torch.from_numpy(values).float() for values in (noise, dual.phi))
    potential = Potential(2, layers=4, width=512, slope=0.0)
    loss = partial(brenier.regression_loss, weight=0)
    times = fitted(potential, loss, lambda step: (points, phi, points), repeats)
    return recipe.iterations["quick"], *times, 0, 0


def fitted(potential, loss, problems, repeats):
    """What `measured` says of a step of a regression."""
    run = Regression(potential, loss, lambda step: 1e-4, 1, None, 60.0)
    return measured(lambda: run.take(0, problems(0)), repeats)


def rounded(minutes):
    """To two digits."""
    return float(f"{minutes:.2g}")


def expected(settings):
    """Milliseconds of a step and minutes of a run, on this machine and on a GPU.

    The GPU is one that starts 100,000 operations a second and computes 10 TFLOP/s, one after the other: an
    estimate for any of this decade's, which no GPU has confirmed. Scores for the card and the encoding
    of codes are not in it. For CelebA exact transport is solved to an eighth of the codes; what comes before
    its steps is taken to grow with the square of their number, a step with the number.
    """
    rows, found = [], {}
    for name in settings.names or sorted(RECIPES):
        recipe = RECIPES[name]
        kind = {Recipe: of_images, ToyRecipe: of_toy}.get(type(recipe), of_potential)
        steps, here, gpu, before, before_gpu = kind(recipe, settings.repeats)
        minutes = rounded((before + steps * here) / 60), rounded((before_gpu + steps * gpu) / 60)
        found[name] = dict(zip(("here", "GPU"), minutes, strict=True))
        step_times = f"{1e3 * here:,.1f}", f"{1e3 * gpu:.1f}"
        rows.append([name, f"{steps:,}", *step_times, *map("{:g}".format, minutes)])
        print(rows[-1], flush=True)
    settings.minutes.write_text(json.dumps(found, indent=2) + "\n")
    times = "ms a step here", "ms on a GPU", "minutes here", "minutes on a GPU"
    return table(["recipe", "steps", *times], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path, default=OUT)
    parser.add_argument("--minutes", type=pathlib.Path, default=MINUTES)
    settings = parser.parse_args()
    heading = (
        f"# What recipes are expected to take, {torch.get_num_threads()} threads of torch\n\n"
        "Made by `python benchmarks/recipes.py`.\n"
    )
    write(settings.out, heading, {"Expected times at quick": expected}, settings)


if __name__ == "__main__":
    main()
