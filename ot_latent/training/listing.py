"""The list of recipes: what each network is, and what its shipped weights took."""

from __future__ import annotations

import json
from typing import Any

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
        card = _shipped_card(name)
        minutes = card.get("minutes", card.get("minutes_of_the_last_run"))
        took = "-" if minutes is None else f"{minutes:g}"
        rows.append((name, took, card.get("scale", "-"), card.get("hardware", "-"), recipe.summary))
    table = tabulate(rows, ("recipe", "minutes", "scale", "hardware", "network"), "plain", disable_numparse=True)
    return (
        f"{table}\n\nMinutes that the shipped weights took, at that scale on that hardware; - where none are shipped."
    )


def _shipped_card(name: str) -> dict[str, Any]:
    """The card of shipped weights, read without torch; {} where none are shipped."""
    try:
        text = (checkout() / "data" / "checkpoints" / f"{name}.json").read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    card: dict[str, Any] = json.loads(text)
    return card
