"""Commands that list, fetch and prepare data sets."""

from pathlib import Path

import click

from ot_latent.cli import options


@click.group(invoke_without_command=True)
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
@options.data_dir
def data_list(data_dir: Path | None) -> None:
    """List the data sets: terms, which of their files are here, and how to get the others.

    \b
    Example:
      ot-latent data list
    """
    from ot_latent import datasets

    with options.one_line():
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
@options.data_dir
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
    with options.one_line(ValueError), options.notes():
        paths = datasets.get(name, data_dir, **settings)
    for path in paths.values():
        click.echo(path)
