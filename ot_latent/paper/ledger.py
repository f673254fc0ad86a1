"""Paper against this run: verdicts on claims, the record in ``results.json``, and tables of it."""

import json
import math
import os
import platform
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from types import MappingProxyType
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
    *(f"{what}: {ends}" for what in ("stand-in", "by construction", "extension") for ends in ("holds", "fails")),
    "not decided",
)
#: Set to "1" in the environment of kernels whose results are those to commit.
KEEP = "OT_LATENT_KEEP"

_COLUMNS = ("claim", "paper", "ours", "95 % interval", "criterion", "verdict")
_WIDTH = 32  # characters of a cell: six columns fit a wide terminal

Row = dict[str, Any]


class Markdown(str):
    """Text that is markdown already, which a table leaves as it is."""


def escaped(text: str) -> Markdown:
    r"""Markdown that shows a text, such as the name of something, as it is.

    >>> print(escaped("E[X] of my_map_, *new*"))
    E[X] of my_map\_, \*new\*
    """
    # underscores within a word mean nothing, nor does "[" or "<" that opens no link or tag
    special = r"[\\`*~$&]|\[(?=.*][(\[])|<(?=[\w/!?])|(?<![^\W_])_|_(?![^\W_])"
    return Markdown(re.sub(special, r"\\\g<0>", text, flags=re.DOTALL))


@dataclass(frozen=True)
class Table:
    """Rows under the names of columns, shown as text and as markdown, with notes in markdown below.

    Whole numbers are shown as they are, others with four digits, pairs as intervals, None as a dash. As text,
    cells are wrapped after ``width`` characters, where that is given.

    >>> Table(("prior", "distance"), [("uniform", 0.123456), ("Gaussian", (0.1, 0.2))])
    prior     distance
    uniform   0.1235
    Gaussian  0.1 to 0.2
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    notes: Sequence[str] = ()
    width: int | None = None

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{len(self.columns)} columns, but {len(row)} cells in the row {row!r}")

    def __repr__(self) -> str:
        cells = [[_text(cell) for cell in row] for row in self.rows]
        table = tabulate(cells, self.columns, "plain", disable_numparse=True, maxcolwidths=self.width)
        return "\n".join([table, *(re.sub(r"\\(\W|_)", r"\1", note) for note in self.notes)])

    def _repr_markdown_(self) -> str:
        columns, *cells = [[_markdown(cell) for cell in row] for row in (self.columns, *self.rows)]
        table = tabulate(cells, columns, "github", disable_numparse=True, stralign=None)
        return "\n\n".join([table, *self.notes])


def _text(cell: Any) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, str | Integral | np.bool_):
        return str(cell)
    if isinstance(cell, tuple | list):
        return " to ".join(map(_text, cell))
    return f"{cell:.4g}"


def _markdown(cell: Any) -> str:
    text = cell if isinstance(cell, Markdown) else escaped(_text(cell))
    return text.replace("|", "\\|").replace("\n", "<br>")


def judge(
    claim: Claim,
    value: float,
    interval: Interval | None = None,
    *,
    note: str = "",
    data: str | None = None,
    quantities: Mapping[str, float | Interval] | None = None,
) -> Row:
    """What a run found of a claim, with the verdict, as it is recorded; arguments as for `Run.record`.

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
    own = {"value": _ends("value", value), "interval": _ends("interval", value if interval is None else interval)}
    is_number = not any(math.isnan(end) for pair in own.values() for end in pair)
    holds = is_number and all(part.holds(ends | own) for part in claim.holds)
    verdict = _verdict(claim, data or claim.data, holds)
    if verdict == "not reproduced" and not (note or claim.cause):
        raise ValueError(f"{claim.key} is not reproduced: give the reason as note=, or as its cause in the file")
    ratios = (_ratio_text(part.left, ends[part.left], *part.ratio) for part in claim.holds if part.ratio)
    return {
        "item": claim.item.key,
        "what": claim.what,
        "paper": claim.quote or None if claim.value is None else [claim.value, claim.error],
        "ours": _rounded(value),
        "interval": None if interval is None else [_rounded(end) for end in interval],
        "verdict": verdict,
        "note": _sentence(note, *ratios, claim.undecided, "" if holds else claim.cause),
        "data": data or claim.data,
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
        return "not decided"
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


def _sentence(*parts: str) -> str:
    return "; ".join(part.rstrip(".") for part in parts if part)


def has_held(row: Row) -> bool:
    """Whether the criterion of a recorded row held, whatever it is called then."""
    return row["verdict"].startswith("reproduced") or row["verdict"].endswith(": holds")


def seeds_text(claim: Mapping[str, Sequence[bool]]) -> str:
    """In how many seeds of a sweep a claim held.

    >>> seeds_text({"held": [True, False, True]})
    '2 of 3 seeds'
    """
    return f"{sum(claim['held'])} of {len(claim['held'])} seeds"


def read_seeds(folder: Path) -> dict[str, str]:
    """In how many seeds each claim held, of those that were swept; from ``sweep/sweep.json``."""
    path = folder / "sweep" / "sweep.json"
    groups = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    plain = {name: group for name, group in groups.items() if "=" not in name}  # of the parameters that are recorded
    return {key: f"holds in {seeds_text(claim)}" for group in plain.values() for key, claim in group["claims"].items()}


def comparison(rows: Mapping[str, Row], seeds: Mapping[str, str] = MappingProxyType({})) -> Table:
    """The table paper | ours | verdict of recorded rows, and below it what was measured and why that decides.

    A statement that is ours, not the paper's, stands below the name of its claim; below the verdict, in how many
    ``seeds`` it held, by claim, as `read_seeds` has them.
    """
    cells: list[tuple[Any, ...]] = []
    notes: dict[str, list[str]] = {}
    for key, row in rows.items():
        claim, paper, label = claims().find(key), row["paper"], row["what"]
        if isinstance(paper, str):
            paper = f"“{paper}” ({claim.place})"
        elif paper is not None:
            paper = f"{paper[0]:g} ± {paper[1]:g}"
        stated = f"{label}\n(our words: {claim.statement})" if claim.statement else label
        verdict = "\n".join([row["verdict"], *filter(None, [seeds.get(key)])])
        cells.append((stated, paper, row["ours"], row["interval"], row.get("criterion") or None, verdict))
        data = row.get("data", claim.data)
        on = "" if data == claim.data else f"on {data}"
        for note in (_sentence(claim.measure, claim.why), _sentence(on, row["note"])):
            if note:
                notes.setdefault(note, []).append(label)
    about = {note: "all" if len(labels) == len(rows) > 1 else "; ".join(labels) for note, labels in notes.items()}
    return Table(_COLUMNS, cells, [f"*{escaped(which)}*: {escaped(note)}." for note, which in about.items()], _WIDTH)


def read_results(folder: Path) -> dict[str, Any]:
    """All results that are recorded in a folder, by notebook, but for claims that are gone; {} before the first.

    Raises
    ------
    ValueError
        If the file is damaged.
    """
    path = folder / "results.json"
    try:
        results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        for section in results.values():
            section["rows"] = {key: row for key, row in section["rows"].items() if key in claims().entries}
        render_results(results)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is damaged ({type(error).__name__}: {error}). Remedy: `git checkout` it where it is committed, "
            "or remove it; then run `ot-latent reproduce`"
        ) from error
    return results


def require_writable(folder: Path, remedy: str) -> None:
    """Raise a PermissionError, with the remedy, if a folder that may yet have to be made cannot be written."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise PermissionError(f"{folder} cannot be written. Remedy: {remedy}")


def write_results(folder: Path, name: str, section: Mapping[str, Any]) -> None:
    """Record what a notebook found, beside the other notebooks' results."""
    path = folder / "results.json"
    with locked(path):
        loaded = (module for module in ("numpy", "scipy", "torch") if module in sys.modules)
        versions = {module: sys.modules[module].__version__.split("+")[0] for module in loaded}
        versions |= {"python": ".".join(platform.python_version_tuple()[:2]), "ot-latent": __version__}
        results = read_results(folder)
        results[name] = _settled(results.get(name), {**section, "versions": versions})
        text = json.dumps(results, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        write_atomically(path, text)


def _settled(before: Mapping[str, Any] | None, now: dict[str, Any]) -> Mapping[str, Any]:
    """What to record, if ``before`` was on record: what says the same to the digits that mean something stays."""
    if before is None or any(before.get(setting) != now[setting] for setting in ("scale", "seed")):
        return now
    old = before["rows"]
    rows = {key: old[key] if key in old and _agree(old[key], row) else row for key, row in now["rows"].items()}
    return before if rows == old else {**now, "rows": rows}


def _agree(before: Row, now: Row) -> bool:
    """Whether rows differ in nothing but their numbers, and these by no more than a hundredth of the interval.

    On other machines, and with another number of threads, rounding errors are others.
    """
    numbers = ("ours", "interval")
    if any(before.get(name) != now.get(name) for name in (before.keys() | now.keys()).difference(numbers)):
        return False
    old, new = ([row["ours"], *(row["interval"] or ())] for row in (before, now))
    if len(old) != len(new):
        return False
    tolerance = max(1e-12, 1e-5 * abs(new[0]), 0.01 * (new[-1] - new[1]) if len(new) == 3 else 0.0)
    return all(a == b or abs(a - b) <= tolerance for a, b in zip(old, new, strict=True))


def render_results(results: Mapping[str, Any], seeds: Mapping[str, str] = MappingProxyType({})) -> str:
    """The content of ``results.json`` as markdown, notebook by notebook, and of `read_seeds` beside it."""
    parts = [
        "# Results",
        "Generated from `results.json` by `ot-latent reproduce`; nothing here is typed by hand.",
        _count(_all_rows(results)),
        render_summary(results),
    ]
    for name, section in sorted(results.items()):
        table = comparison(section["rows"], seeds)
        parts += [f"## {escaped(name)}", f"Scale {section['scale']}, seed {section['seed']}.", table._repr_markdown_()]
    return "\n\n".join(parts) + "\n"


def render_map(results: Mapping[str, Any]) -> str:
    """Every item of the papers with its notebook and its verdicts, as markdown for notebook 00."""
    rows = [
        (item.paper, item.number, item.title, Markdown(f"[{item.notebook[:2]}]({item.notebook}.ipynb)"), verdict)
        for item, verdict in ((item, _status(item, results)) for item in claims().items)
    ]
    return Table(("paper", "item", "what", "notebook", "verdict"), rows)._repr_markdown_()


def render_counts(results: Mapping[str, Any]) -> str:
    """The table of the README: verdicts by paper."""
    paper = {item.key: item.paper for item in claims().items}
    rows = [
        (name, _count(row for row in _all_rows(results) if paper[row["item"]] == name))
        for name in dict.fromkeys(paper.values())
    ]
    return Table(("paper", "verdicts"), rows)._repr_markdown_()


def render_summary(results: Mapping[str, Any]) -> str:
    """The table on top of the results: verdicts by item that has numbers."""
    found = {row["item"] for row in _all_rows(results)}
    items = [item for item in claims().items if item.key in found]
    rows = [(f"{item.paper}, {item.number}", item.title, _status(item, results)) for item in items]
    return Table(("item", "what", "verdicts"), rows)._repr_markdown_()


def _status(item: Item, results: Mapping[str, Any]) -> str:
    """The verdicts on an item's claims, if they were recorded."""
    return _count(row for row in _all_rows(results) if row["item"] == item.key) or "not run yet"


def _count(rows: Iterable[Row]) -> str:
    counts = Counter(row["verdict"] for row in rows)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])


def _all_rows(results: Mapping[str, Any]) -> list[Row]:
    return [row for section in results.values() for row in section["rows"].values()]
