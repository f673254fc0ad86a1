"""The `ot-latent` command line."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ot_latent import __version__

# Everything else is imported where it is used: `--help` answers at once, and without the extras.


@contextmanager
def _one_line(*expected: type[Exception]) -> Iterator[None]:
    """Turn errors that a user can mend, those of files always, into one message without a traceback."""
    try:
        yield
    except ModuleNotFoundError as error:
        extra = "data" if error.name in ("h5py", "lmdb") else "notebooks"
        raise click.ClickException(
            f"{error.name} is not installed. Remedy: pip install 'ot-latent[{extra}]'"
        ) from error
    except BrokenPipeError:  # of a reader such as `head`, which has seen enough
        raise
    except (OSError, *expected) as error:
        read_only = getattr(error, "errno", None) in (errno.EACCES, errno.EROFS)
        remedy = ". Remedy: work in a copy of the checkout that you may write" if read_only else ""
        raise click.ClickException(f"{error}{remedy}") from error


@contextmanager
def _notes() -> Iterator[None]:
    """Print warnings as notes, as they come."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_: click.echo(f"Note: {message}", err=True)
        yield


_scale = click.option(
    "--scale",
    type=click.Choice(["smoke", "quick", "paper"]),
    default="quick",
    show_default=True,
    help="Seconds, minutes, or the papers' own sample counts and epochs.",
)

_seed = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)


def _checked_device(context: click.Context, parameter: click.Parameter, value: str) -> str:
    from ot_latent.training.devices import check_device

    try:
        check_device(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return value


_device = click.option(
    "--device", default="auto", show_default=True, callback=_checked_device, help="auto, cpu, cuda, cuda:N or mps."
)

_data_dir = click.option(
    "--data-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that holds the data sets [default: $OT_LATENT_DATA, then the user's cache].",
)

_figures_dir = click.option(
    "--figures-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of figures and results [default: figures; build/figures-SCALE with other settings].",
)

_keep = click.option("--keep", is_flag=True, help="Replace what is committed in data/.")


@click.group()
@click.version_option(__version__, prog_name="ot-latent")
def main() -> None:
    """Optimal transport in latent spaces: regenerate the papers' figures, train, fetch data.

    \b
    Example:
      ot-latent reproduce 04 --scale smoke
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # closed ones are
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # characters that a console may lack


@main.command()
@click.argument("notebooks", nargs=-1)
@_scale
@_seed
@click.option("--train", is_flag=True, help="Train from scratch; do not use the shipped weights.")
@click.option("--jobs", type=click.IntRange(min=1), help="Notebooks at a time [default: one a core].")
@_device
@_data_dir
@_figures_dir
@click.option(
    "--build-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the executed copies [default: build].",
)
@click.option(
    "--start-timeout", type=click.IntRange(min=1), default=600, show_default=True, help="Seconds for a kernel to start."
)
def reproduce(notebooks: tuple[str, ...], **settings: Any) -> None:
    """Execute NOTEBOOKS (all by default) and print the table of results.

    Notebooks are named by number, name or path. Executed ones go to build/notebooks.

    \b
    Example:
      ot-latent reproduce 01 04_perturbation_table --jobs 2
    """
    with _one_line(ValueError):
        from ot_latent.paper.reproduce import reproduce

        report = reproduce(notebooks, **settings)
    raise SystemExit(int(report))


@main.command()
@click.argument("recipe", required=False)
@click.option("--list", "list_recipes", is_flag=True, help="List the recipes and what they took.")
@_scale
@_seed
@_device
@_data_dir
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder of the weights [default: build/checkpoints/SCALE-SEED]."
)
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the images [default: the recipe's].")
@click.option(
    "--precision", type=click.Choice(["float32", "bfloat16"]), help="Of the networks [default: the recipe's]."
)
@click.option("--save-seconds", type=click.FloatRange(min=0), default=60, help="Between two states [default: 60].")
def train(recipe: str | None, list_recipes: bool, scale: str, seed: int, **settings: Any) -> None:
    """Train the network that RECIPE describes, and print where weights and loss curves are.

    A run that was killed goes on when it is started again. Its states and its log are in
    build/training/RECIPE-SCALE-SEED; remove that folder to start anew. To train on several GPUs, put
    `accelerate launch --num_processes N --module ot_latent.cli` in place of `ot-latent`; on CPUs,
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
    with _one_line():
        from ot_latent import training
        from ot_latent._loop import DivergenceError

    with _one_line(ValueError, DivergenceError), _notes():
        path = training.train(recipe, scale=scale, seed=seed, **settings)
    click.echo(path)
    curves = training.run_folder(recipe, scale, seed) / "losses.png"
    if curves.exists():
        click.echo(curves)


@main.command()
@click.argument("generators", nargs=-1)
@click.option("--n", type=click.IntRange(min=200), default=50_000, show_default=True, help="Images a row.")
@_seed
@_device
@click.option("--imagenet", is_flag=True, help="The paper's rows under ImageNet's classes; generators in colour only.")
@_keep
def evaluate(generators: tuple[str, ...], n: int, seed: int, device: str, imagenet: bool, keep: bool) -> None:
    """Table 2 of Agustsson et al. for shipped GENERATORS (all by default).

    The tables are printed. A run that was killed, or that is to be kept after all, goes on where it was.
    Notebook 08 shows those in data/evaluations, which --keep replaces.

    \b
    Example:
      ot-latent evaluate mnist-dcgan-gaussian --n 2000
    """
    with _one_line(ValueError):
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


@main.command()
@click.argument("names", nargs=-1)
@_device
@_data_dir
@_keep
def reference(names: tuple[str, ...], device: str, data_dir: Path | None, keep: bool) -> None:
    """Measure the real images behind FIDs anew: the references NAMES (all by default).

    Moments of their features are written to build/reference, or with --keep to data/reference.

    \b
    Example:
      ot-latent reference mnist
    """
    with _one_line(ValueError):
        from ot_latent._storage import checkout
        from ot_latent.scores import references
        from ot_latent.training.devices import resolve_device

        for name in names or references.REFERENCES:
            moments = references.measure(name, data_dir, resolve_device(device))
            click.echo(references.save(name, moments, None if keep else checkout() / "build" / "reference"))


@main.group(invoke_without_command=True)
@click.pass_context
def data(context: click.Context) -> None:
    """Show the data sets, or fetch and prepare one. Alone it does what `data list` does.

    \b
    Example:
      ot-latent data
    """
    if context.invoked_subcommand is None:
        context.invoke(data_list)


@data.command("list")
@_data_dir
def data_list(data_dir: Path | None) -> None:
    """List the data sets: terms, which of their files are here, and how to get the others.

    \b
    Example:
      ot-latent data list
    """
    from ot_latent import datasets

    with _one_line():
        for name, data_set in sorted(datasets.DATASETS.items()):
            click.echo(f"{name}: {data_set.summary} ({data_set.terms})")
            found = datasets.locate(name, data_dir)
            for file, path in found.items():
                click.echo(f"  {file}  {path or 'missing'}")
            for path in datasets.prepared(name):
                click.echo(f"  decoded  {path}")
            if not any(found.values()):
                loadable = any(file.urls for file in data_set.files)
                fetch = f"`ot-latent data get {name}` downloads it. " if loadable else ""
                click.echo(f"  {fetch}{datasets.instructions(name, data_dir)}".rstrip())


@data.command("get")
@click.argument("name")
@_data_dir
@click.option("--size", type=click.IntRange(1, 2048), help="Decode images to this side in pixels.")
@click.option("--partial", is_flag=True, help="Go on with fewer images than the official set has.")
@click.option("--skip-broken", is_flag=True, help="Leave out images that do not decode.")
def data_get(name: str, data_dir: Path | None, size: int | None, partial: bool, skip_broken: bool) -> None:
    """Fetch what is missing of data set NAME, verify and decode it, and print the paths.

    \b
    Example:
      ot-latent data get mnist
    """
    from ot_latent import datasets

    if name not in datasets.DATASETS:
        raise click.UsageError(f"there is no data set {name!r}; there are: {', '.join(sorted(datasets.DATASETS))}")
    chosen = {"size": size, "partial": partial, "on_error": "skip" if skip_broken else None}
    settings = {key: value for key, value in chosen.items() if value}
    with _one_line(ValueError), _notes():
        paths = datasets.get(name, data_dir, **settings)
    for path in paths.values():
        click.echo(path)


@main.command()
@_figures_dir
def results(figures_dir: Path | None) -> None:
    """Print the table of results that `reproduce` wrote last.

    \b
    Example:
      ot-latent results --figures-dir build/figures-smoke
    """
    with _one_line(ValueError):
        from ot_latent._storage import checkout
        from ot_latent.paper.ledger import read_results, render_results

        folder = figures_dir or checkout() / "figures"
        if not (folder / "results.json").exists():
            raise FileNotFoundError(f"{folder / 'results.json'} does not exist. Remedy: run ot-latent reproduce")
        click.echo(render_results(read_results(folder)))


@main.command()
def lab() -> None:
    """Open JupyterLab on the first notebook.

    \b
    Example:
      ot-latent lab
    """
    with _one_line():
        from jupyterlab.labapp import main as jupyterlab

        from ot_latent._storage import checkout

        first = checkout() / "notebooks" / "00_start_here.ipynb"
    # the kernel python3 of this Python goes before others of that name
    paths = (str(Path(sys.prefix, "share", "jupyter")), os.environ.get("JUPYTER_PATH"))
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, paths))
    jupyterlab([str(first)])


if __name__ == "__main__":
    main()
