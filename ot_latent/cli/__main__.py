"""For launchers of several processes, which run a module."""

from ot_latent.cli import main

main()
