"""Sets of encoded images that a user has to bring: which of their sources is here, and is it whole?"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from ot_latent._catalogue import OFFICIAL_COUNTS, DataSet, MissingDataError, PartialDataWarning
from ot_latent._files import find, missing
from ot_latent._sources import Source, open_source


def open_first(data_set: DataSet, names: Sequence[str], folders: Sequence[Path]) -> Source:
    """The first of these sources that is here."""
    for name in names:
        path = find(folders, name)
        if path is not None:
            return open_source(path)
    raise MissingDataError(missing(data_set, " or ".join(names), folders))


def check_count(name: str, source: Source, partial: bool) -> None:
    """Another number of images than the official one is refused, unless the caller asked to go on."""
    count = len(source)
    official = OFFICIAL_COUNTS.get(source.path.name, count)
    if count == official:
        return
    say = f"{name}: {source.path} holds {count:,} images, the official set {official:,}"
    if not partial:
        raise MissingDataError(f"{say}. Pass partial=True to go on with those that are here.")
    warnings.warn(say, PartialDataWarning, stacklevel=4)
