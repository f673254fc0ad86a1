"""The `ot-latent` command line."""

from ot_latent.cli.commands import main as main
