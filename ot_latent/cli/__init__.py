"""The `ot-latent` command line.

What a command needs is imported where it is used: `--help` answers at once, and without the extras.
"""

import sys

import click

from ot_latent import __version__
from ot_latent.cli import data, networks, notebooks, own


@click.group()
@click.version_option(__version__, prog_name="ot-latent")
def main() -> None:
    """Optimal transport in latent spaces: model your own images, regenerate the papers' figures, train, fetch data.

    \b
    Example:
      ot-latent reproduce 04 --scale smoke
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # closed ones are
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # characters that a console may lack


for _command in (own.fit, own.sample, own.interpolate, networks.train, networks.evaluate, networks.reference):
    main.add_command(_command)
for _command in (notebooks.reproduce, notebooks.sweep, notebooks.results, notebooks.lab, data.data):
    main.add_command(_command)
