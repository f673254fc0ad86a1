"""The list of recipes: what each network is, and what its shipped weights took."""

import json

from tabulate import tabulate

from ot_latent._storage import checkout
from ot_latent.training.recipes import RECIPES


def recipe_table() -> str:
    """Every recipe with the minutes, the scale and the hardware of its shipped weights, from their cards.

    >>> print(recipe_table().splitlines()[0])
    recipe                      minutes    scale    hardware                network
    """
    rows = []
    for name, recipe in sorted(RECIPES.items()):
        path = checkout() / "data" / "checkpoints" / f"{name}.json"  # read without torch
        card = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        minutes = card.get("minutes", card.get("minutes_of_the_last_run"))
        took = "-" if minutes is None else f"{minutes:g}"
        rows.append((name, took, card.get("scale", "-"), card.get("hardware", "-"), recipe.summary))
    table = tabulate(rows, ("recipe", "minutes", "scale", "hardware", "network"), "plain", disable_numparse=True)
    about = "Minutes that the shipped weights took, at that scale on that hardware; - where none are shipped."
    return f"{table}\n\n{about}"
