"""What is public, found by reflection: the names of the stubs, and what the modules among them define."""

import types
from collections.abc import Iterator
from typing import Any

import ot_latent


def names(room: Any = ot_latent) -> dict[str, Any]:
    """Classes and functions by module and name."""
    return {f"{value.__module__}.{value.__qualname__}": value for value in _shown(room, set())}


def _shown(room: Any, seen: set[str]) -> Iterator[Any]:
    """Of a room all that its stub lists, of a module what it defines itself."""
    seen.add(room.__name__)
    for name in getattr(room, "__all__", vars(room)):
        value = getattr(room, name)
        if name.startswith("_"):
            continue
        if isinstance(value, types.ModuleType):
            if hasattr(room, "__all__") and value.__name__.startswith("ot_latent.") and value.__name__ not in seen:
                yield from _shown(value, seen)
        elif hasattr(value, "__qualname__") and (hasattr(room, "__all__") or value.__module__ == room.__name__):
            yield value
