"""Notebooks over many seeds: how often does the criterion of each claim hold, and how far do its values spread?

One folder a run, with the executed notebook, its results and figures; what is there and depends on the same is
not run again. The ledger takes from ``sweep.json`` in how many seeds a claim holds.
"""

import json
import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, product
from operator import attrgetter
from pathlib import Path
from typing import Any

import click

from ot_latent._storage import checkout, write_atomically
from ot_latent.paper.claims import claims
from ot_latent.paper.ledger import Table, escaped, has_held, read_results, require_writable, seeds_text
from ot_latent.paper.reproduce import LAST, Planned, Report, Work, run_planned, select_notebooks

_OURS = ("seed", "figures_dir", "data_dir")
_COLUMNS = ("claim", "paper", "median", "lowest to highest", "standard deviation", "criterion", "holds in")


def sweep(
    notebooks: Sequence[str] | None = None,
    *,
    seeds: Iterable[int] = range(20),
    scale: str = "quick",
    parameters: Mapping[str, Sequence[Any]] | None = None,
    device: str = "auto",
    build_dir: str | Path | None = None,
    out: str | Path | None = None,
    root: str | Path | None = None,
    **work: Any,
) -> Report:
    """Execute notebooks once for each seed, and each combination of parameters; write a table and a picture.

    Only what is missing, or depends on something that changed, runs. A run that fails does not stop the others,
    and counts as one in which no claim held.

    Parameters
    ----------
    notebooks : sequence of str, optional
        As for `reproduce`; by default all but the first.
    seeds : ints
    scale : "smoke", "quick" or "paper"
    parameters : mapping of names to sequences of values, optional
        Further parameters of the notebooks; each combination is swept.
    out : path, optional
        Where ``SWEEP.md``, ``sweep.json`` and ``sweep.png`` go; notebooks that were swept there before stay in them.
        By default the folder of the runs, ``build/sweep-<scale>``.
    device, build_dir, root, **work
        As for `reproduce`.

    Raises
    ------
    ValueError
        If there is no seed, or ``parameters`` names one that the sweep sets itself; else as for `reproduce`.
    PermissionError, ConnectionError
        As for `reproduce`.
    """
    seeds, grid = list(dict.fromkeys(seeds)), dict(parameters or {})
    if not seeds or any(isinstance(seed, bool) or not isinstance(seed, int) or seed < 0 for seed in seeds):
        raise ValueError(f"seeds must be integers >= 0, at least one, got {seeds}")
    if own := grid.keys() & set(_OURS):
        raise ValueError(f"parameters must not name {', '.join(sorted(own))}: the sweep sets it")
    root = Path(root or checkout()).resolve()
    build = Path(build_dir or root / "build").resolve()
    sources = [path for path in select_notebooks(notebooks, root / "notebooks") if path.stem != LAST]
    folder = build / f"sweep-{scale}"
    out = Path(out or folder).resolve()
    for place, name in ((build, "build_dir= or --build-dir"), (out, "out= or --out")):
        require_writable(place, f"name a folder of yours, {name}")
    known = _read(out)
    runs = [
        _Run(source, seed, dict(zip(grid, values, strict=True)), folder)
        for source in sources
        for values in product(*grid.values())
        for seed in seeds
    ]
    planned = [run.planned({"scale": scale, "train": False, "device": device}) for run in runs]
    report = run_planned(planned, build, Work(**work))
    failed = {outcome.name: str(outcome.error) for outcome in report.failed}
    groups = groupby(runs, attrgetter("group"))
    found = known | {group: _gathered(list(members), failed, scale) for group, members in groups}
    out.mkdir(parents=True, exist_ok=True)
    text = re.sub(r"\[[^\[\]{}]*\]", lambda values: " ".join(values[0].split()), json.dumps(found, indent=1)) + "\n"
    table = render_sweep(found)
    write_atomically(out / "sweep.json", text)
    write_atomically(out / "SWEEP.md", table)
    _draw(found, out / "sweep.png")
    click.echo(f"\n{table}")
    return report


@dataclass(frozen=True)
class _Run:
    """One notebook with one seed and one combination of further parameters."""

    source: Path
    seed: int
    further: dict[str, Any]
    folder: Path

    @property
    def group(self) -> str:
        """Name of the runs that differ in their seeds alone."""
        return " ".join([self.source.stem, *(f"{name}={value}" for name, value in self.further.items())])

    @property
    def name(self) -> str:
        return re.sub(r"[^\w.=-]", "_", f"{self.group}-seed-{self.seed}")

    @property
    def place(self) -> Path:
        return self.folder / self.name

    def planned(self, parameters: dict[str, Any]) -> Planned:
        given = {**parameters, **self.further, "seed": self.seed, "figures_dir": str(self.place)}
        return Planned(self.name, self.source, self.place / self.source.name, given)

    def rows(self) -> dict[str, Any]:
        """What it recorded, by claim."""
        section = read_results(self.place).get(self.source.stem, {"rows": {}})
        return {key: row for key, row in section["rows"].items() if not claims().find(key).undecided}


def _gathered(runs: Sequence[_Run], failed: Mapping[str, str], scale: str) -> dict[str, Any]:
    """What the runs of a notebook with one choice of parameters found, as ``sweep.json`` has it; of errors the end."""
    rows = {run.seed: {} if run.name in failed else run.rows() for run in runs}
    errors = {run.seed: re.sub(r"\x1b\[[0-9;]*m", "", failed[run.name]) for run in runs if run.name in failed}
    return {
        "scale": scale,
        "seeds": [run.seed for run in runs],
        "failed": {str(seed): error.strip().splitlines()[-1][:200] for seed, error in errors.items()},
        "claims": {
            key: {
                "values": [rows[run.seed].get(key, {}).get("ours") for run in runs],
                "held": [key in rows[run.seed] and has_held(rows[run.seed][key]) for run in runs],
            }
            for key in sorted(set().union(*rows.values()))
        },
    }


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "sweep.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        render_sweep(found)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({type(error).__name__}: {error}). Remedy: remove it") from error
    return found


def render_sweep(found: Mapping[str, Any]) -> str:
    """The content of ``sweep.json`` as markdown."""
    parts = [
        "# Claims over seeds",
        "Generated from `sweep.json` by `ot-latent sweep`. A run that failed counts as one in which no claim held.",
    ]
    for group, section in sorted(found.items()):
        seeds = ", ".join(map(str, section["seeds"]))
        rows = [_row(key, claim) for key, claim in section["claims"].items()]
        parts += [f"## {escaped(group)}", f"Scale {section['scale']}, seeds {seeds}."]
        parts += [Table(_COLUMNS, rows)._repr_markdown_()] if rows else []
        parts += [f"Seed {seed} failed: {escaped(error)}." for seed, error in section["failed"].items()]
    return "\n\n".join(parts) + "\n"


def _row(key: str, found: Mapping[str, Any]) -> tuple[Any, ...]:
    claim = claims().find(key)
    values = [value for value in found["values"] if value is not None and math.isfinite(value)]
    paper = claim.quote or None if claim.value is None else f"{claim.value:g} ± {claim.error:g}"
    spread = (min(values), max(values)) if values else None
    deviation = statistics.stdev(values) if len(values) > 1 else None
    middle = statistics.median(values) if values else None
    what = f"{claim.what} ({key.partition('.')[2]})"
    return what, paper, middle, spread, deviation, claim.criterion, seeds_text(found)


def _draw(found: Mapping[str, Any], path: Path) -> None:
    """A strip for each claim: its value with every seed, full where the criterion held, and the paper's number."""
    from matplotlib.figure import Figure

    from ot_latent.paper import figures

    strips = [(key, claim) for _, section in sorted(found.items()) for key, claim in section["claims"].items()]
    if not strips:
        return
    figures.use_style()
    columns = 3
    rows = math.ceil(len(strips) / columns)
    figure = Figure(figsize=(12, 0.62 * rows + 0.4), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, (key, claim) in zip(axes, strips, strict=False):
        for held, color in ((True, figures.COLORS["linear"]), (False, figures.COLORS["matched"])):
            pairs = zip(claim["values"], claim["held"], strict=True)
            values = [value for value, how in pairs if how is held and value is not None and math.isfinite(value)]
            ax.plot(values, [0] * len(values), "o" if held else "x", color=color, alpha=0.6, markersize=5)
        if (number := claims().find(key).value) is not None:
            ax.axvline(number, color=figures.COLORS["prior"], linewidth=1)
        ax.set_title(f"{key}: {seeds_text(claim)}", fontsize=7, loc="left", pad=2)
        ax.set_yticks([])
        ax.tick_params(labelsize=6, pad=1)
        ax.xaxis.get_offset_text().set_fontsize(6)
        ax.spines[["left", "right", "top"]].set_visible(False)
    for ax in axes[len(strips) :]:
        ax.set_axis_off()
    figures.save(figure, path)
