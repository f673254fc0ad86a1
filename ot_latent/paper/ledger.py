"""Paper against this run: verdicts on claims, the record in ``results.json``, and tables of it."""

from __future__ import annotations

import json
import math
import platform
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from ot_latent import __version__
from ot_latent._storage import locked, write_atomically
from ot_latent.paper.claims import Claim, Interval, Item, claims

#: Only the first two count as reproduced: empirical claims, on the paper's own data.
VERDICTS = (
    "reproduced",
    "reproduced in ratio",
    "not reproduced",
    "stand-in: holds",
    "stand-in: fails",
    "by construction: holds",
    "by construction: fails",
    "extension: holds",
    "extension: fails",
    "needs a GPU run",
)
_COLUMNS = ("what", "paper", "claim", "ours", "95 % interval", "criterion", "verdict")
_NONE = "–"

Row = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """Rows under the names of columns, shown as text and as markdown, with notes below.

    Whole numbers are shown as they are, others with four digits, pairs as intervals, None as a dash.

    >>> Table(("prior", "distance"), [("uniform", 0.123456), ("Gaussian", (0.1, 0.2))])
    prior     distance
    uniform   0.1235
    Gaussian  0.1 to 0.2
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{len(self.columns)} columns, but {len(row)} cells in the row {row!r}")

    def __repr__(self) -> str:
        cells = [[_text(cell) for cell in row] for row in self.rows]
        return "\n".join([tabulate(cells, self.columns, "plain", disable_numparse=True), *self.notes])

    def _repr_markdown_(self) -> str:
        cells = [[_text(cell).replace("|", "\\|") for cell in row] for row in self.rows]
        return "\n\n".join([tabulate(cells, self.columns, "github", disable_numparse=True), *self.notes])


def _text(cell: Any) -> str:
    if cell is None:
        return _NONE
    if isinstance(cell, str | Integral | np.bool_):
        return str(cell)
    if isinstance(cell, tuple | list):
        return " to ".join(map(_text, cell))
    return f"{cell:.4g}"


def judge(
    claim: Claim,
    value: float,
    interval: Interval | None = None,
    *,
    note: str = "",
    data: str | None = None,
    quantities: Mapping[str, float | Interval] | None = None,
) -> Row:
    """What a run found of a claim, with the verdict, as it is recorded.

    Parameters
    ----------
    claim : Claim
    value : float
    interval : (low, high), optional
        95 % interval; None for an exact value.
    note : str
        What this run has to say of it.
    data : str, optional
        What it was computed on; may be left out where the claim is about random numbers.
    quantities : dict
        Those that the criterion names beside the value and its interval: numbers or intervals.

    Raises
    ------
    ValueError
        If quantities or data are missing or do not belong, or no reason is given for what is not reproduced.
    """
    ends = {name: _ends(name, given) for name, given in (quantities or {}).items()}
    if ends.keys() != claim.quantities:
        raise ValueError(f"{claim.key} needs the quantities {sorted(claim.quantities)}, got {sorted(ends)}")
    if data is None and claim.data != "random numbers":
        raise ValueError(f"{claim.key} is about {claim.data}: say on which data= it was computed")
    ends |= {"value": _ends("value", value), "interval": _ends("interval", value if interval is None else interval)}
    if any(math.isnan(end) for end in (*ends["value"], *ends["interval"])):
        holds = False
    else:
        holds = all(part.holds(ends) for part in claim.holds)
    data = data or claim.data
    verdict = _verdict(claim, data, holds)
    notes = [note, *(_ratio_text(part.left, ends[part.left], *part.ratio) for part in claim.holds if part.ratio)]
    if claim.undecided or not holds:
        notes.append(claim.undecided or claim.cause)
    if verdict == "not reproduced" and not (note or claim.cause):
        raise ValueError(f"{claim.key} is not reproduced: give the reason as note=, or as its cause in the file")
    return {
        "item": claim.item.key,
        "what": claim.what,
        "paper": claim.quote or None if claim.value is None else [claim.value, claim.error],
        "ours": _rounded(value),
        "interval": None if interval is None else [_rounded(end) for end in interval],
        "verdict": verdict,
        "note": "; ".join(part.rstrip(".") for part in notes if part),
        "data": data,
        "kind": claim.kind,
        "criterion": claim.criterion,
    }


def _ends(name: str, given: float | Interval) -> Interval:
    low, high = given if isinstance(given, tuple | list) else (given, given)
    if low > high:
        raise ValueError(f"{name} must be (low, high), got {given}")
    return float(low), float(high)


def _verdict(claim: Claim, data: str, holds: bool) -> str:
    if claim.undecided:
        return "needs a GPU run"
    if claim.kind != "empirical":
        return f"{claim.kind}: {'holds' if holds else 'fails'}"
    if not claim.is_about(data):
        return f"stand-in: {'holds' if holds else 'fails'}"
    if not holds:
        return "not reproduced"
    return "reproduced in ratio" if any(part.ratio for part in claim.holds) else "reproduced"


def _ratio_text(name: str, found: Interval, ratio: float, error: float) -> str:
    ours = " to ".join(dict.fromkeys(f"{end:.3f}" for end in found))
    return f"{name.replace('_', ' ')} {ours}, in the paper {ratio:.3f} ± {error:.3f}"


def _rounded(value: float) -> float:
    return float(f"{float(value):.6g}")


def comparison(rows: Mapping[str, Row]) -> Table:
    """The table paper | ours | verdict of recorded rows."""
    return Table(_COLUMNS, [_cells(key, row) for key, row in rows.items()], _notes(rows))


def _cells(key: str, row: Row) -> list[Any]:
    paper, claim = row["paper"], claims().entries.get(key)
    if isinstance(paper, str):
        paper = f"“{paper}”" + (f" ({claim.place})" if claim else "")
    elif paper is not None:
        paper = f"{paper[0]:g} ± {paper[1]:g}"
    interval = "exact" if row["interval"] is None else row["interval"]
    stated = (claim and claim.statement) or None
    return [row["what"], paper, stated, row["ours"], interval, row.get("criterion") or None, row["verdict"]]


def _notes(rows: Mapping[str, Row]) -> list[str]:
    """One text a note, which begins with the rows that it belongs to."""
    labels: dict[str, list[str]] = {}
    for key, row in rows.items():
        claim = claims().entries.get(key)
        parts = (claim.measure, claim.why, row["note"]) if claim else (row["note"],)
        note = "; ".join(part.rstrip(".") for part in parts if part)
        if note:
            labels.setdefault(note, []).append(row["what"])
    return [f"*{'; '.join(whats)}*: {note}." for note, whats in labels.items()]


def read_results(folder: Path) -> dict[str, Any]:
    """All results that are recorded in a folder, by notebook; {} before the first."""
    path = folder / "results.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def write_results(folder: Path, name: str, section: Mapping[str, Any]) -> None:
    """Record what a notebook found, beside the other notebooks' results."""
    path = folder / "results.json"
    with locked(path):
        results = read_results(folder) | {name: {**section, "versions": _versions()}}
        text = json.dumps(results, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        write_atomically(path, lambda temporary: temporary.write_text(text))


def _versions() -> dict[str, str]:
    versions = {"python": ".".join(platform.python_version_tuple()[:2]), "ot-latent": __version__}
    for name in ("numpy", "scipy", "torch"):
        if name in sys.modules:
            versions[name] = sys.modules[name].__version__.split("+")[0]
    return versions


def render_results(results: Mapping[str, Any]) -> str:
    """The content of ``results.json`` as markdown, notebook by notebook."""
    parts = [
        "# Results",
        "Generated from `results.json` by `ot-latent reproduce`; nothing here is typed by hand.",
        _count(_all_rows(results), VERDICTS),
        render_summary(results),
    ]
    for name, section in sorted(results.items()):
        table = comparison(section["rows"])
        parts += [f"## {name}", f"Scale {section['scale']}, seed {section['seed']}.", table._repr_markdown_()]
    return "\n\n".join(parts) + "\n"


def render_map(results: Mapping[str, Any]) -> str:
    """Every item of the papers with its notebook and its verdicts, as markdown for notebook 00."""
    rows = [
        (item.paper, item.number, item.title, f"[{item.notebook[:2]}]({item.notebook}.ipynb)", _status(item, results))
        for item in claims().items
    ]
    return Table(("paper", "item", "what", "notebook", "verdict"), rows)._repr_markdown_()


def render_summary(results: Mapping[str, Any]) -> str:
    """The table of the README and on top of the results: verdicts by item that has numbers."""
    found = {row["item"] for row in _all_rows(results)}
    items = [item for item in claims().items if item.key in found]
    rows = [(f"{item.paper}, {item.number}", item.title, _status(item, results)) for item in items]
    return Table(("item", "what", "verdicts"), rows)._repr_markdown_()


def _status(item: Item, results: Mapping[str, Any]) -> str:
    """The verdicts on an item's own numbers; else those of the notebook that runs it."""
    own = [row for row in _all_rows(results) if row["item"] == item.key]
    if own:
        return _count(own, sorted({row["verdict"] for row in own}))
    return "run, no number of its own" if item.notebook in results else "not run yet"


def _count(rows: Iterable[Row], verdicts: Sequence[str]) -> str:
    counts = Counter(row["verdict"] for row in rows)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in verdicts if counts[verdict])


def _all_rows(results: Mapping[str, Any]) -> list[Row]:
    return [row for section in results.values() for row in section["rows"].values()]
