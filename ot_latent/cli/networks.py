"""Commands that train and judge the networks of the papers."""

from pathlib import Path
from typing import Any

import click

from ot_latent.cli import options


@click.command()
@click.argument("recipe", required=False)
@click.option("--list", "list_recipes", is_flag=True, help="List the recipes and what they took.")
@options.scale
@options.seed
@options.device
@options.data_dir
@click.option("--out", type=options.PATH, help="Folder of the weights [default: build/checkpoints/SCALE-SEED].")
@click.option("--epochs", type=options.POSITIVE, help="Passes over the images [default: the recipe's].")
@click.option("--precision", type=options.PRECISION, help="Of the networks [default: the recipe's].")
@click.option("--save-seconds", type=click.FloatRange(min=0), default=60, help="Between two states [default: 60].")
def train(recipe: str | None, list_recipes: bool, scale: str, seed: int, **settings: Any) -> None:
    """Train the network that RECIPE describes, and print where weights and loss curves are.

    This needs a clone of the repository; `ot-latent fit` does not. A run that was killed goes on when it is started
    again. Its states and its log are in build/training/RECIPE-SCALE-SEED; remove that folder to start anew. To train
    on several GPUs, put `accelerate launch --num_processes N --module ot_latent.cli` in place of `ot-latent`; on CPUs,
    `torchrun --nproc-per-node N --module ot_latent.cli`.

    \b
    Example:
      ot-latent train mnist-vae --scale smoke
    """
    from ot_latent.training.recipes import RECIPES, recipe_table

    if list_recipes:
        click.echo(recipe_table())
        return
    if recipe not in RECIPES:
        wrong = "name a recipe" if recipe is None else f"there is no recipe {recipe!r}; there are"
        raise click.UsageError(f"{wrong}: {', '.join(sorted(RECIPES))}")
    with options.one_line():
        from ot_latent import training
        from ot_latent._loop import DivergenceError

    with options.one_line(ValueError, DivergenceError), options.notes():
        path = training.train(recipe, scale=scale, seed=seed, **settings)
    click.echo(path)
    curves = training.run_folder(recipe, scale, seed) / "losses.png"
    if curves.exists():
        click.echo(curves)


@click.command()
@click.argument("generators", nargs=-1)
@click.option("--n", type=click.IntRange(min=200), default=50_000, show_default=True, help="Images a row.")
@options.seed
@options.device
@click.option("--imagenet", is_flag=True, help="The paper's rows under ImageNet's classes; generators in colour only.")
@options.keep
def evaluate(generators: tuple[str, ...], n: int, seed: int, device: str, imagenet: bool, keep: bool) -> None:
    """Table 2 of Agustsson et al. for shipped GENERATORS (all by default).

    The tables are printed. A run that was killed, or that is to be kept after all, goes on where it was.
    Notebook 08 shows those in data/evaluations, which --keep replaces.

    \b
    Example:
      ot-latent evaluate mnist-dcgan-gaussian --n 2000
    """
    with options.one_line(ValueError):
        from ot_latent.paper import table2
        from ot_latent.training.devices import resolve_device

        settings = table2.under_imagenet() if imagenet else table2.shipped()
        known = {setting.name: setting for setting in settings}
        if unknown := [name for name in generators if name not in known]:
            raise click.UsageError(f"no generator {unknown[0]}; shipped are: {', '.join(known)}")
        for name in generators or known:
            rows = table2.PAPER_ROWS if imagenet else table2.OPERATIONS
            found = table2.evaluate(known[name], n, seed, tuple(rows), resume=True, device=resolve_device(device))
            click.echo(f"{name}\n{found}")
            if keep:
                click.echo(table2.keep(known[name], found))


@click.command()
@click.argument("names", nargs=-1)
@options.device
@options.data_dir
@options.keep
def reference(names: tuple[str, ...], device: str, data_dir: Path | None, keep: bool) -> None:
    """Measure the real images behind FIDs anew: the references NAMES (all by default).

    Moments of their features are written to build/reference, or with --keep to data/reference.

    \b
    Example:
      ot-latent reference mnist
    """
    with options.one_line(ValueError):
        from ot_latent._storage import checkout
        from ot_latent.scores import references
        from ot_latent.training.devices import resolve_device

        for name in names or references.REFERENCES:
            moments = references.measure(name, data_dir, resolve_device(device))
            click.echo(references.save(name, moments, None if keep else checkout() / "build" / "reference"))
