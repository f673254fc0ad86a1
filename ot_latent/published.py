"""Paper against this run: measured numbers, verdicts, and the record of all results."""

from __future__ import annotations

import difflib
import json
import platform
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ot_latent import __version__
from ot_latent._locking import locked
from ot_latent._tables import markdown_table, text_table
from ot_latent.paper_numbers import ITEMS, PUBLISHED, Item, Published

__all__ = ["ITEMS", "PUBLISHED", "Comparison", "Item", "Published", "compare", "measured"]

VERDICTS = (
    "reproduced",
    "reproduced in ratio",
    "not reproduced",
    "stand-in data",
    "needs a GPU run",
)
_COLUMNS = ("what", "paper", "ours", "95 % interval", "verdict")


@dataclass(frozen=True)
class Measured:
    """One number of this run beside the paper's, with its verdict."""

    published: Published
    ours: float
    interval: tuple[float, float] | None
    verdict: str
    note: str
    data: str


def measured(
    key: str,
    ours: float,
    interval: tuple[float, float] | None = None,
    *,
    holds: bool | None = None,
    verdict: str | None = None,
    note: str = "",
    data: str = "",
    stand_in: bool = False,
) -> Measured:
    """A number of this run.

    Parameters
    ----------
    key : str
        Of `PUBLISHED`.
    ours : float
    interval : (low, high), optional
        95 % interval; None for an exact value.
    holds : bool
        For claims: whether the criterion that the notebook computed is met.
    verdict : str, optional
        For numbers that cannot be compared directly: "reproduced in ratio", "not reproduced",
        "stand-in data" or "needs a GPU run".
    note : str
        The reason; obligatory with ``verdict`` and with what is not reproduced.
    data : str
        What the number was computed on, where that is not random numbers.
    stand_in : bool
        ``data`` stand in for the paper's: the verdict on a claim says so, and the note whether it holds.

    Raises
    ------
    ValueError
        If the key is unknown, a reason is missing or ``holds`` does not fit.
    """
    if key not in PUBLISHED:
        close = ", ".join(difflib.get_close_matches(key, PUBLISHED)) or "none is similar"
        raise ValueError(f"no published number has the key {key!r}; close ones: {close}")
    published = PUBLISHED[key]
    if interval is not None and not interval[0] <= interval[1]:
        raise ValueError(f"interval must be (low, high), got {interval}")
    if stand_in and verdict is None:
        found = _rule(published, ours, interval, holds)
        note = (
            f"On {data} the claim {'holds' if found == 'reproduced' else 'does not hold'}. {note}"
        )
        verdict = "stand-in data"
    if verdict is None:
        verdict = _rule(published, ours, interval, holds)
    elif verdict not in VERDICTS[1:]:
        raise ValueError(f"verdict must be one of {VERDICTS[1:]}, got {verdict!r}")
    elif not note:
        raise ValueError(f"{key}: verdict={verdict!r} needs a note that gives the reason")
    if verdict == "not reproduced" and not note:
        raise ValueError(f"{key} is not reproduced: give the reason that was found as note=")
    return Measured(published, float(ours), interval, verdict, note, data)


def _rule(published: Published, ours, interval, holds) -> str:
    if published.value is None:
        if not isinstance(holds, bool | np.bool_):
            raise ValueError(f"{published.key} is a claim: pass holds=True or False, got {holds!r}")
        return "reproduced" if holds else "not reproduced"
    if holds is not None:
        raise ValueError(f"{published.key} is a number: its interval decides, leave holds out")
    low, high = interval or (ours, ours)
    agrees = low <= published.value + published.error and published.value - published.error <= high
    return "reproduced" if agrees else "not reproduced"


class Comparison:
    """The table paper | ours | verdict of one notebook."""

    def __init__(self, rows: tuple[Measured, ...]) -> None:
        self.rows = rows

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (
                row.published.label,
                _paper_text(row.published),
                _digits(row.ours),
                "exact" if row.interval is None else " to ".join(map(_digits, row.interval)),
                row.verdict,
            )
            for row in self.rows
        ]

    def _notes(self) -> list[str]:
        return _grouped_notes((row.published.label, row.note) for row in self.rows)

    def __repr__(self) -> str:
        return "\n".join([text_table(_COLUMNS, self._cells()), *self._notes()])

    def _repr_markdown_(self) -> str:
        return "\n\n".join([markdown_table(_COLUMNS, self._cells()), *self._notes()])


def _grouped_notes(labelled: Iterable[tuple[str, str]]) -> list[str]:
    """One text a note, which begins with the rows that it belongs to."""
    labels: dict[str, list[str]] = {}
    for label, note in labelled:
        if note:
            labels.setdefault(note, []).append(label)
    return [f"*{'; '.join(rows)}*: {note.rstrip('.')}." for note, rows in labels.items()]


def _digits(value: float) -> str:
    return f"{value:.4g}"


def _paper_text(published: Published) -> str:
    if published.value is None:
        return published.claim
    return f"{published.value:g} ± {published.error:g}"


def compare(run, *rows: Measured) -> Comparison:
    """Set a notebook's numbers beside the paper's and record them in ``results.json``.

    Parameters
    ----------
    run : notebook.Run
    rows : Measured
        From `measured`.
    """
    section = {
        "scale": run.scale,
        "seed": run.seed,
        "versions": _versions(),
        "rows": {row.published.key: _record(row) for row in rows},
    }
    path = run.figures_dir / "results.json"
    with locked(path):
        results = run.read_results() | {run.name: section}
        temporary = path.with_name(f".{path.name}")
        temporary.write_text(
            json.dumps(results, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        )
        temporary.replace(path)
    return Comparison(rows)


def _record(row: Measured) -> dict:
    published = row.published
    interval = None if row.interval is None else [_rounded(end) for end in row.interval]
    paper = published.claim if published.value is None else [published.value, published.error]
    return {
        "item": published.item,
        "what": published.label,
        "paper": paper,
        "ours": _rounded(row.ours),
        "interval": interval,
        "verdict": row.verdict,
        "note": row.note,
        "data": row.data or "random numbers",
    }


def _rounded(value: float) -> float:
    return float(f"{float(value):.6g}")


def _versions() -> dict[str, str]:
    versions = {"python": ".".join(platform.python_version_tuple()[:2]), "ot-latent": __version__}
    for name in ("numpy", "scipy", "torch"):
        if name in sys.modules:
            versions[name] = sys.modules[name].__version__.split("+")[0]
    return versions


def render_results(results: dict) -> str:
    """The content of ``results.json`` as markdown, notebook by notebook."""
    parts = [
        "# Results",
        "Generated from `results.json` by `ot-latent reproduce`; nothing here is typed by hand.",
        _summary(results),
        render_summary(results),
    ]
    for name, section in sorted(results.items()):
        rows = section["rows"].values()
        parts += [
            f"## {name}",
            f"Scale {section['scale']}, seed {section['seed']}.",
            markdown_table(_COLUMNS, [_result_cells(row) for row in rows]),
            *_grouped_notes((row["what"], row["note"]) for row in rows),
        ]
    return "\n\n".join(parts) + "\n"


def _summary(results: dict) -> str:
    counts = Counter(row["verdict"] for part in results.values() for row in part["rows"].values())
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])


def _result_cells(row: dict) -> list[str]:
    paper = row["paper"]
    return [
        row["what"],
        paper if isinstance(paper, str) else f"{paper[0]:g} ± {paper[1]:g}",
        _digits(row["ours"]),
        "exact" if row["interval"] is None else " to ".join(map(_digits, row["interval"])),
        row["verdict"],
    ]


def render_map(results: dict) -> str:
    """Every item of the papers with its notebook and its verdict, as markdown for notebook 00."""
    rows = [
        (item.paper, item.number, item.title, _place(item), _status(item, results))
        for item in ITEMS
    ]
    return markdown_table(("paper", "item", "what", "notebook", "verdict"), rows)


def _place(item: Item) -> str:
    return (
        f"[{item.notebook[:2]}]({item.notebook}.ipynb)"
        if item.exists
        else f"{item.notebook[:2]} (to come)"
    )


def _status(item: Item, results: dict) -> str:
    """The verdicts on an item's own numbers; else those of the notebook that runs it."""
    if not item.exists:
        return "not yet regenerated"
    everything = [row for part in results.values() for row in part["rows"].values()]
    own = [row for row in everything if row["item"] == f"{item.paper}/{item.number}"]
    if own:
        counts = Counter(row["verdict"] for row in own)
        return ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    return "run, no number of its own" if item.notebook in results else "not run yet"


def render_summary(results: dict) -> str:
    """The table of the README and on top of the results: verdicts by item that has numbers."""
    rows = [
        (f"{item.paper}, {item.number}", item.title, _status(item, results))
        for item in ITEMS
        if any(
            row["item"] == f"{item.paper}/{item.number}"
            for part in results.values()
            for row in part["rows"].values()
        )
    ]
    return markdown_table(("item", "what", "verdicts"), rows)
