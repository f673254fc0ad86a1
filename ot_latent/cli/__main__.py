"""For launchers of several processes, which run a module."""

from ot_latent.cli.commands import main

main()
