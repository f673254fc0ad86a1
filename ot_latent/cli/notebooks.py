"""Commands that run and show notebooks."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from ot_latent.cli import options


@click.command()
@click.argument("notebooks", nargs=-1)
@options.scale
@options.seed
@click.option("--train", is_flag=True, help="Train from scratch; do not use the shipped weights.")
@click.option("--jobs", type=click.IntRange(min=1), help="Notebooks at a time [default: one a core].")
@options.device
@options.data_dir
@options.figures_dir
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

    Notebooks are named by number, name or path. Executed ones go to build/notebooks. This needs a clone of the
    repository.

    \b
    Example:
      ot-latent reproduce 01 04_perturbation_table --jobs 2
    """
    with options.one_line(ValueError):
        from ot_latent.paper.reproduce import reproduce

        report = reproduce(notebooks, **settings)
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
        from ot_latent.paper.ledger import read_results, render_results

        folder = figures_dir or checkout() / "figures"
        if not (folder / "results.json").exists():
            raise FileNotFoundError(f"{folder / 'results.json'} does not exist. Remedy: run ot-latent reproduce")
        click.echo(render_results(read_results(folder)))


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
