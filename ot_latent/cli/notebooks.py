"""Commands that run and show notebooks."""

import json
import os
import sys
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import click

from ot_latent.cli import options

_BATCH = (
    click.argument("notebooks", nargs=-1),
    options.scale,
    click.option("--jobs", type=options.POSITIVE, help="Notebooks at a time [default: one a core]."),
    click.option(
        "--cluster", metavar="local|ADDRESS|FILE", help="Run on dask workers instead of processes of our own."
    ),
    click.option("--force", is_flag=True, help="Run also what is done and depends on nothing that changed."),
    options.device,
    options.data_dir,
    click.option("--build-dir", type=options.FOLDER, help="Folder of the executed copies [default: build]."),
    click.option(
        "--start-timeout", type=options.POSITIVE, default=600, show_default=True, help="Seconds for a kernel to start."
    ),
)


def _batch(command: Callable[..., None]) -> Callable[..., None]:
    """With the options of commands that run many notebooks."""
    return reduce(lambda decorated, option: option(decorated), reversed(_BATCH), command)


@click.command()
@_batch
@options.seed
@click.option("--train", is_flag=True, help="Train from scratch; do not use the shipped weights.")
@options.figures_dir
def reproduce(notebooks: tuple[str, ...], **settings: Any) -> None:
    """Execute NOTEBOOKS (all by default) and print the table of results.

    Notebooks are named by number, name or path. Executed ones go to build/notebooks. This needs a clone of the
    repository. What is done, and depends on nothing that changed, is not done again: the same command goes on where
    one was killed.

    \b
    Example:
      ot-latent reproduce 01 04_perturbation_table --jobs 2
    """
    with options.one_line(ValueError):
        from ot_latent.paper.reproduce import reproduce

        report = reproduce(notebooks, **settings)
    raise SystemExit(int(report))


def _seeds(context: click.Context, parameter: click.Parameter, text: str) -> list[int]:
    try:
        first, colon, end = text.partition(":")
        return list(range(int(first or 0), int(end))) if colon else [int(seed) for seed in text.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is neither FIRST:END, as 0:20, nor a list, as 0,3,7") from error


def _grid(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, list[Any]]:
    grid = {}
    for text in given:
        name, equals, values = text.partition("=")
        if not (name and equals and values):
            raise click.BadParameter(f"{text!r} is not NAME=VALUE,...")
        grid[name] = [_literal(value) for value in values.split(",")]
    return grid


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


@click.command()
@_batch
@click.option("--seeds", callback=_seeds, default="0:20", show_default=True, help="FIRST:END, without END; or 0,3,7.")
@click.option(
    "-p",
    "parameters",
    multiple=True,
    callback=_grid,
    metavar="NAME=VALUE,...",
    help="A parameter of the notebooks and its values, in JSON or as text; each combination is swept.",
)
@click.option(
    "--out",
    type=options.FOLDER,
    help="Folder of table and picture [default: build/sweep-SCALE; what is committed: figures/sweep].",
)
def sweep(notebooks: tuple[str, ...], **settings: Any) -> None:
    """Execute NOTEBOOKS once a seed; in how many of them does each claim hold?

    Each run has a folder in build/sweep-SCALE. The table of all claims over seeds is SWEEP.md. Only what is missing,
    or depends on something that changed, runs: the same command goes on where one was killed.

    \b
    Example:
      ot-latent sweep 01 --seeds 0:3 --scale smoke
    """
    with options.one_line(ValueError):
        from ot_latent.paper.sweep import sweep

        report = sweep(notebooks, **settings)
    raise SystemExit(int(report))


@click.command()
@options.figures_dir
def results(figures_dir: Path | None) -> None:
    """Print the table of results that `reproduce` wrote last.

    \b
    Example:
      ot-latent results --figures-dir build/figures-smoke
    """
    with options.one_line(ValueError):
        from ot_latent._storage import checkout
        from ot_latent.paper.ledger import read_results, read_seeds, render_results

        folder = figures_dir or checkout() / "figures"
        if not (folder / "results.json").exists():
            raise FileNotFoundError(f"{folder / 'results.json'} does not exist. Remedy: run ot-latent reproduce")
        click.echo(render_results(read_results(folder), read_seeds(folder)))


@click.command()
def lab() -> None:
    """Open JupyterLab on the first notebook.

    \b
    Example:
      ot-latent lab
    """
    with options.one_line():
        from jupyterlab.labapp import main as jupyterlab

        from ot_latent._storage import checkout

        first = checkout() / "notebooks" / "00_start_here.ipynb"
    # the kernel python3 of this Python goes before others of that name
    paths = (str(Path(sys.prefix, "share", "jupyter")), os.environ.get("JUPYTER_PATH"))
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, paths))
    jupyterlab([str(first)])
