"""Progress bars of long loops."""

from __future__ import annotations

import os
from collections.abc import Iterable

from tqdm.auto import tqdm


def progress(iterable: Iterable, what: str, total: int | None = None, done: int = 0):
    """Iterate with a bar that appears after two seconds and leaves nothing behind.

    ``TQDM_DISABLE=1`` turns it off; in notebooks tqdm itself does not look at that variable.
    """
    off = os.environ.get("TQDM_DISABLE", "0") != "0"
    return tqdm(iterable, what, total, initial=done, leave=False, delay=2, disable=off)
