"""What the three papers claim, as data: ``data/claims/<paper>.toml``, read and checked whole.

A claim says where it stands in its paper, in the paper's own words (`quote`) or in ours (`statement`), and by
which criterion a run decides it. A criterion compares a quantity of the run with a bound, both a number or an
interval; of intervals the ends that speak most against it count, and what is not a number never holds:

    interval above 0.1          value at least 1.5 × floor          interval within 0.9 to 1.1
    interval below vae          value at most 1                     interval meets 0.246 ± 0.0005
    ratio meets table1.aeot / table1.vae

``value`` and ``interval`` are those that the run records (without an interval both ends are the value), other
names are quantities that the notebook passes, and ``A / B`` is the ratio of two numbers of the paper, with the
error that follows from theirs. A number of the paper without a criterion is met by an interval that reaches
it, within its error.
"""

import difflib
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ot_latent._storage import checkout

KINDS = ("empirical", "by construction", "extension")

Interval = tuple[float, float]


@dataclass(frozen=True)
class Item:
    """A figure, table, equation, statement or algorithm of a paper, and the notebook that runs it."""

    paper: str
    number: str
    title: str
    notebook: str

    @property
    def key(self) -> str:
        """Such as "agustsson2019/Figure 1"."""
        return f"{self.paper}/{self.number}"


# of x against the first bound a and the last bound b (the same one where there is but one), as (low, high)
_RELATIONS: dict[str, Callable[[Interval, Interval, Interval], bool]] = {
    "above": lambda x, a, b: x[0] > a[1],
    "below": lambda x, a, b: x[1] < a[0],
    "at least": lambda x, a, b: x[0] >= a[1],
    "at most": lambda x, a, b: x[1] <= a[0],
    "within": lambda x, a, b: x[0] >= a[1] and x[1] <= b[0],
    "meets": lambda x, a, b: x[0] <= b[0] and x[1] >= a[1],
}


@dataclass(frozen=True)
class Criterion:
    """One comparison, as `criterion` reads it.

    Attributes
    ----------
    text : str
        As it is written.
    left : str
        The quantity that is compared.
    relation : str
        One of those that the module's docstring shows.
    bounds : one or two pairs (factor, name)
        Multiples of quantities; without a name, numbers.
    ratio : (ratio, error), optional
        What the paper's two numbers give, where the comparison is with their ratio.
    """

    text: str
    left: str
    relation: str
    bounds: tuple[tuple[float, str], ...]
    ratio: tuple[float, float] | None = None

    @property
    def names(self) -> set[str]:
        """The quantities that it needs."""
        return {self.left, *(name for _, name in self.bounds)} - {""}

    def holds(self, quantities: Mapping[str, Interval]) -> bool:
        """Whether it is met.

        >>> criterion("interval above 2 × floor").holds({"interval": (3.0, 4.0), "floor": (1.0, 1.2)})
        True
        """
        if any(math.isnan(end) for name in self.names for end in quantities[name]):
            return False
        known = {"": (1.0, 1.0), **quantities}
        bounds = [(factor * known[name][0], factor * known[name][1]) for factor, name in self.bounds]
        return _RELATIONS[self.relation](quantities[self.left], bounds[0], bounds[-1])


@dataclass(frozen=True)
class Claim:
    """A number or a statement of a paper, or one of ours beside it; the fields are those of the file.

    ``error`` is the paper's own standard deviation or, where it gives none, half a unit of the last digit.
    ``cause`` is the reason that was found for what is not reproduced, ``undecided`` that for which no
    comparison decides.
    """

    key: str
    item: Item
    place: str
    what: str
    kind: str
    data: str
    holds: tuple[Criterion, ...] = ()
    quote: str = ""
    statement: str = ""
    value: float | None = None
    error: float | None = None
    measure: str = ""
    why: str = ""
    cause: str = ""
    undecided: str = ""

    @property
    def criterion(self) -> str:
        """All that must hold, as text."""
        return " and ".join(part.text for part in self.holds)

    @property
    def quantities(self) -> set[str]:
        """What the criterion names beside the value and its interval."""
        return {name for part in self.holds for name in part.names} - {"value", "interval"}

    def is_about(self, data: str) -> bool:
        """Whether these data are the paper's; what follows a comma says which part of them was used."""
        return data == self.data or data.startswith(f"{self.data},")


@dataclass(frozen=True)
class Claims:
    """The ``items`` of all papers, in order, and their claims, ``entries``, by full key."""

    items: tuple[Item, ...]
    entries: Mapping[str, Claim]

    def find(self, key: str) -> Claim:
        """The claim of a full key, "agustsson2019.theorem1", or of a short one, "theorem1".

        Raises
        ------
        ValueError
            If there is none, or if several papers have that short key.
        """
        found = [claim for full, claim in self.entries.items() if key in (full, full.partition(".")[2])]
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(f"{key!r} is ambiguous: {', '.join(claim.key for claim in found)}")
        known = {name: full for full in self.entries for name in (full, full.partition(".")[2])}
        close = [known[name] for name in difflib.get_close_matches(key, known)]
        raise ValueError(f"no claim has the key {key!r}; close ones: {', '.join(close) or 'none is similar'}")


@cache
def claims() -> Claims:
    """The claims of the three papers.

    >>> claims().find("table3.gaussian100.l2").value
    0.2463
    """
    return read_claims(checkout() / "data" / "claims")


def read_claims(folder: Path) -> Claims:
    """Read and check all files of a folder.

    Raises
    ------
    ValueError
        If anything is wrong; names the file, the claim and the field.
    """
    items: list[Item] = []
    entries: dict[str, Claim] = {}
    for path in sorted(folder.glob("*.toml"), key=lambda path: path.stem[-4:], reverse=True):  # by year
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path.name}: {error}") from error
        _check(path.name, content, {"title": str, "item": list, "claim": dict}, needed=("title", "item", "claim"))
        own = _items(path, content["item"])
        items += own.values()
        numbers = {key: entry for key, entry in content["claim"].items() if "value" in entry}
        for key, entry in content["claim"].items():
            entries[f"{path.stem}.{key}"] = _claim(path, key, entry, own, numbers)
    return Claims(tuple(items), entries)


_NAME = r"[a-z]\w*"
_NUMBER = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"
_TERM = rf"{_NUMBER}(?: × {_NAME})?|{_NAME}"
_FORMS = (
    rf"({_NAME}) (above|below|at least|at most) ({_TERM})",
    rf"({_NAME}) (within) ({_TERM}) to ({_TERM})",
    rf"({_NAME}) (meets) ({_NUMBER}) ± ({_NUMBER})",
    rf"({_NAME}) (meets) (\S+) / (\S+)",
)


def criterion(text: str, numbers: Mapping[str, Mapping[str, float]] | None = None) -> Criterion:
    """Read a comparison; ``numbers`` holds ``value`` and ``error`` of the paper's numbers.

    Raises
    ------
    ValueError
        If it is none of those that the module's docstring shows.
    """
    numbers = numbers or {}
    match = next(filter(None, (re.fullmatch(form, text) for form in _FORMS)), None)
    if match is None:
        raise ValueError(f"{text!r} is no comparison such as 'interval above 0.1'")
    left, relation, *bounds = match.groups()
    if relation != "meets":
        return Criterion(text, left, relation, tuple(map(_bound, bounds)))
    ratio = None
    if match.re.pattern == _FORMS[-1]:
        if unknown := [key for key in bounds if key not in numbers]:
            raise ValueError(f"{unknown[0]!r} is no number of this paper, in {text!r}")
        ratio = paper_ratio(*((numbers[key]["value"], numbers[key]["error"]) for key in bounds))
    center, error = ratio or map(float, bounds)
    return Criterion(text, left, relation, ((center - error, ""), (center + error, "")), ratio)


def _bound(text: str) -> tuple[float, str]:
    number, _, name = text.partition(" × ")
    return (float(number), name) if re.match(r"[-\d]", number) else (1.0, number)


def paper_ratio(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    """Ratio of two numbers, each with its error, and the error of the ratio to first order.

    >>> ratio, error = paper_ratio((1.78, 0.13), (1.76, 0.11))
    >>> round(ratio, 3), round(error, 3)
    (1.011, 0.097)
    """
    ratio = first[0] / second[0]
    return ratio, ratio * math.hypot(first[1] / first[0], second[1] / second[0])


_TEXTS = ("item", "place", "what", "kind", "data", "quote", "statement", "measure", "why", "cause")
_FIELDS = dict.fromkeys((*_TEXTS, "undecided"), str) | {"value": float, "error": float, "holds": list}


def _check(where: str, entry: Mapping[str, Any], fields: Mapping[str, type], needed: Iterable[str]) -> None:
    for field, content in entry.items():
        if field not in fields:
            raise ValueError(f"{where}: unknown field {field!r}; known are {', '.join(fields)}")
        if not isinstance(content, fields[field]) or content in ("", [], {}):
            raise ValueError(f"{where}: field {field!r} must be a {fields[field].__name__}, not empty, got {content!r}")
    if missing := [field for field in needed if field not in entry]:
        raise ValueError(f"{where}: field {missing[0]!r} is missing")


def _items(path: Path, entries: list[dict[str, str]]) -> dict[str, Item]:
    items: dict[str, Item] = {}
    for entry in entries:
        where = f"{path.name}, item {entry.get('number')!r}"
        fields = dict.fromkeys(("number", "title", "notebook"), str)
        _check(where, entry, fields, fields)
        if entry["number"] in items:
            raise ValueError(f"{where}: field 'number' is there twice")
        items[entry["number"]] = Item(path.stem, **entry)
    return items


def _claim(path: Path, key: str, entry: dict[str, Any], items: dict[str, Item], numbers: dict[str, Any]) -> Claim:
    where = f"{path.name}, claim {key!r}"
    is_number = "value" in entry or "error" in entry
    needed = () if "undecided" in entry else ("why",) if "holds" in entry else () if is_number else ("why", "holds")
    always = ("item", "place", "what", "measure", "kind", "data")
    _check(where, entry, _FIELDS, (*always, *(("value", "error") if is_number else ()), *needed))
    if entry["item"] not in items:
        raise ValueError(f"{where}: field 'item': no [[item]] has the number {entry['item']!r}")
    if entry["kind"] not in KINDS:
        raise ValueError(f"{where}: field 'kind' must be one of {', '.join(KINDS)}, got {entry['kind']!r}")
    if ("quote" in entry) + ("statement" in entry) != 1 and not is_number:
        raise ValueError(f"{where}: give one of the fields 'quote' and 'statement'")
    if "undecided" in entry and "holds" in entry:
        raise ValueError(f"{where}: field 'holds' decides what field 'undecided' says is not decided")
    own = [f"interval meets {entry['value']:g} ± {entry['error']:g}"] if is_number and "undecided" not in entry else []
    try:
        holds = tuple(criterion(text, numbers) for text in entry.get("holds", own))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where}: field 'holds': {error}") from error
    return Claim(f"{path.stem}.{key}", **entry | {"item": items[entry["item"]], "holds": holds})
