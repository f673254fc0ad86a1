"""Progress bars of long loops."""

from __future__ import annotations

import os
from collections.abc import Iterable

from tqdm.auto import tqdm


def progress(iterable: Iterable, what: str, total: int | None = None):
    """Iterate with a bar that appears after two seconds and leaves nothing behind.

    ``TQDM_DISABLE=1`` turns it off; in notebooks tqdm itself does not look at that variable.
    """
    return tqdm(iterable, what, total, **_settings())


def progress_bar(what: str, total: int, done: int, unit: str) -> tqdm:
    """The same bar for work that comes in uneven portions: ``with`` it, and call its ``update(n)``."""
    return tqdm(None, what, total, initial=done, unit=f" {unit}", **_settings())


def _settings() -> dict:
    return {"leave": False, "delay": 2, "disable": os.environ.get("TQDM_DISABLE", "0") != "0"}
