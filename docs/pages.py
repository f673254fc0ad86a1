"""Parts of the website made from data: ledger, claims, gallery, tables of modules, picture of the start page."""

import ast
import inspect
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import nbformat
from PIL import Image

import ot_latent
from ot_latent.paper.claims import Claim, claims
from ot_latent.paper.ledger import VERDICTS, Markdown, Table, escaped, read_results

ROOT = Path(__file__).resolve().parents[1]
SITE = "https://ot-latent.github.io/ot_latent/"
FILES = "https://github.com/ot-latent/ot_latent/blob/main"
PAPERS = {
    "agustsson2019": "Agustsson et al. (2019)",
    "liu2018": "Liu et al. (2018)",
    "bousquet2017": "Bousquet et al. (2017)",
}
PICTURES: Mapping[str, tuple[str, str]] = {
    name: (title, text)
    for name, (title, text) in tomllib.loads((ROOT / "docs" / "figures.toml").read_text(encoding="utf-8")).items()
}
WIDTH = 640  # pixels of a picture in the gallery


@cache
def cells(notebook: str) -> tuple[nbformat.NotebookNode, ...]:
    """The cells of a committed notebook."""
    return tuple(nbformat.read(ROOT / "notebooks" / f"{notebook}.ipynb", as_version=4).cells)


def picture_of(notebook: str, cell: Mapping[str, Any]) -> str:
    """Name in `PICTURES` of what a cell draws: the figure that it names last, else the cell itself.

    >>> picture_of("01_midpoint_densities_2d", {"id": "cell-09", "source": 'run.save(fig, "densities");'})
    '01_densities'
    """
    named = [f"{notebook[:2]}_{word}" for word in re.findall(r'"(\w+)"', cell["source"])]
    return next((name for name in reversed(named) if name in PICTURES), f"{notebook}#{cell['id']}")


def cells_of_figures() -> dict[str, tuple[str, str]]:
    """Notebook and id of the cell of every saved figure, by the figure's name, in order."""
    names = [path.stem for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    code = [(name, cell) for name in names for cell in cells(name) if cell.cell_type == "code"]
    drawn = {picture_of(name, cell): (name, cell.id) for name, cell in code}
    return {figure: place for figure, place in drawn.items() if "#" not in figure}


@cache
def _recorded(notebook: str) -> tuple[tuple[re.Pattern[str], int, nbformat.NotebookNode], ...]:
    """Every `run.record` of a notebook: a pattern of its key, how many characters of that are fixed, and the cell."""
    calls = [
        (node.args, cell)
        for cell in cells(notebook)
        if cell.cell_type == "code"
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "run.record"
    ]
    found = []
    for arguments, cell in calls:
        key = arguments[0] if arguments else None
        parts = [key] if isinstance(key, ast.Constant) else getattr(key, "values", [None])
        fixed = [part.value if isinstance(part, ast.Constant) else None for part in parts]
        pattern = "".join(".+" if part is None else re.escape(part) for part in fixed)
        found.append((re.compile(pattern), sum(len(part or "") for part in fixed), cell))
    return tuple(found)


def recording_link(notebook: str, claim: Claim, up: str = "") -> str:
    """Link to the cell that records a claim; of several that may, the one that names most of its key."""
    key = claim.key.partition(".")[2]
    found = [(fixed, cell) for pattern, fixed, cell in _recorded(notebook) if pattern.fullmatch(key)]
    if not found:
        raise LookupError(f"no cell of {notebook} records {key}")
    cell = max(found, key=lambda pair: pair[0])[1]
    return f'<a href="{up}notebooks/{notebook}.html#nb-{cell.id}">{notebook[:2]} [{cell.execution_count}]</a>'


def recorded() -> list[tuple[Claim, str, dict[str, Any]]]:
    """Every recorded claim with its notebook and its row, in the order of the papers' items."""
    results = read_results(ROOT / "figures")
    rows = {key: (name, row) for name, section in results.items() for key, row in section["rows"].items()}
    items, found = claims().items, [(claim, *rows[key]) for key, claim in claims().entries.items() if key in rows]
    return sorted(found, key=lambda entry: items.index(entry[0].item))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _interval(row: Mapping[str, Any]) -> str:
    return " to ".join(map(_number, row["interval"])) if row["interval"] else "–"


def _paper(claim: Claim) -> str:
    return (
        f"{claim.value:g} ± {claim.error:g}" if claim.value is not None else f"“{claim.quote}”" if claim.quote else ""
    )


def anchor(claim: Claim) -> str:
    """Where a claim stands on the page of its paper."""
    return claim.key.replace(".", "-").replace("_", "-").lower()


def ledger_html() -> str:
    """The ledger as a table with a search field; each row leads to claim, cell and criterion."""
    rows = []
    for claim, notebook, row in recorded():
        page = f"claims/{claim.item.paper}.html#{anchor(claim)}"
        row_cells = {
            "item": f"{PAPERS[claim.item.paper].partition(' ')[0]}, {claim.item.number}",
            "claim": f'<a href="{page}">{escape(row["what"])}</a>',
            "paper says": escape(_paper(claim)) or f"<em>our words:</em> {escape(claim.statement)}",
            "ours": _number(row["ours"]),
            "95 % interval": _interval(row),
            "criterion": f'<a href="{page}-criterion">{escape(row["criterion"]) or "undecided"}</a>',
            "verdict": row["verdict"],
            "cell": recording_link(notebook, claim),
        }
        columns = "".join(f'<td data-label="{label}">{text}</td>' for label, text in row_cells.items())
        data = f'data-paper="{claim.item.paper}" data-verdict="{row["verdict"]}" data-key="{claim.key}"'
        rows.append(f"<tr {data}>{columns}</tr>")
    head = "".join(f'<th scope="col">{label}</th>' for label in row_cells)
    present = {row["verdict"] for _, _, row in recorded()}
    verdicts = "".join(f"<option>{verdict}</option>" for verdict in VERDICTS if verdict in present)
    papers = "".join(f'<option value="{key}">{name}</option>' for key, name in PAPERS.items())
    return f"""\
<form id="ledger-filter" role="search" onsubmit="return false">
<label>Search <input type="search" id="ledger-words" placeholder="slerp uniform" autocomplete="off"></label>
<label>Paper <select id="ledger-paper"><option value="">all</option>{papers}</select></label>
<label>Verdict <select id="ledger-verdict"><option value="">all</option>{verdicts}</select></label>
<output id="ledger-count">{len(rows)} of {len(rows)} claims</output>
</form>
<div class="ledger-wrapper" tabindex="0" role="region" aria-label="The ledger">
<table id="ledger">
<thead><tr>{head}</tr></thead>
<tbody>
{chr(10).join(rows)}
</tbody>
</table>
</div>
"""


def claims_page(paper: str) -> str:
    """All claims of a paper, item by item, in markdown: the words, the criterion with its reason, and this run."""
    parts = ["---\ntocdepth: 2\n---", f"# Claims of {PAPERS[paper]}"]
    parts.append(
        f"What the paper claims, the criterion that decides, and what the recorded run found: "
        f"[data/claims/{paper}.toml]({FILES}/data/claims/{paper}.toml) in words. "
        "The [ledger](../ledger.md) has all of it in one table."
    )
    item = None
    for claim, notebook, row in (entry for entry in recorded() if entry[0].item.paper == paper):
        if claim.item != item:
            item = claim.item
            parts.append(f"## {item.number}: {escaped(item.title)}")
        said = f"> {escaped(_paper(claim))} ({escaped(claim.place)})" if _paper(claim) else None
        ours = f"In our words: {escaped(claim.statement)}." if claim.statement else None
        criterion = f"`{claim.criterion}`" if claim.criterion else "none"
        data = row.get("data", claim.data)
        parts += filter(
            None,
            [
                f"({anchor(claim)})=\n### {escaped(claim.what)}",
                said,
                ours,
                f"**Measured:** {escaped(claim.measure)}." if claim.measure else None,
                f"({anchor(claim)}-criterion)=\n**Criterion:** {criterion}"
                + "".join(f"; {escaped(text)}" for text in (claim.why, claim.undecided) if text)
                + ".",
                f"**This run:** {_number(row['ours'])}"
                + (f", 95 % interval {_interval(row)}" if row["interval"] else "")
                + f", on {escaped(data)}; "
                f"notebook {recording_link(notebook, claim, '../')}. "
                f"**{row['verdict'].capitalize()}**" + (f": {escaped(row['note'])}." if row["note"] else "."),
            ],
        )
    return "\n\n".join(parts) + "\n"


def gallery_html(folder: Path) -> str:
    """Every figure, small, with its title and the cell that draws it; writes the small pictures into a folder."""
    cards = []
    for name, (notebook, cell) in cells_of_figures().items():
        title, text = PICTURES[name]
        width, height = shrink(ROOT / "figures" / f"{name}.png", folder / f"{name}.webp")
        cards.append(
            f'<figure><a href="notebooks/{notebook}.html#nb-{cell}"><img src="_static/gallery/{name}.webp" '
            f'alt="{escape(text)}" width="{width}" height="{height}" loading="lazy"></a>'
            f'<figcaption><a href="notebooks/{notebook}.html#nb-{cell}">{notebook[:2]} · {escape(title)}</a> '
            f'<a class="full" href="{FILES}/figures/{name}.png">full size</a></figcaption></figure>'
        )
    return '<div class="gallery">\n' + "\n".join(cards) + "\n</div>\n"


def shrink(path: Path, to: Path) -> tuple[int, int]:
    """Write a figure on white, as wide as the gallery shows it; returns its size."""
    with Image.open(path) as picture:
        flat = Image.new("RGBA", picture.size, "white")
        flat.alpha_composite(picture.convert("RGBA"))
    flat.thumbnail((WIDTH, WIDTH))
    flat.convert("RGB").save(to, quality=85)
    return flat.size


def moving_html(animations: Path) -> str:
    """The picture of the start page: the animation of densities, or while there is none the figure."""
    still, text = "_static/gallery/01_densities.webp", PICTURES["01_densities"][1]
    moving = animations / "densities.webp"
    if not moving.is_file():
        return f'<img class="moving" src="{still}" alt="{escape(text)}">\n'
    if moving.with_suffix(".png").is_file():
        still = "_static/animations/densities.png"
    text = PICTURES["animations#densities"][1]
    return (
        f'<picture><source media="(prefers-reduced-motion: reduce)" srcset="{still}">'
        f'<img class="moving" src="_static/animations/densities.webp" alt="{escape(text)}"></picture>\n'
    )


def module_table(name: str) -> str:
    """The public names of a module of the library, each with the first sentence of its docstring, in markdown."""
    module = getattr(ot_latent, name)
    own = [key for key, value in vars(module).items() if getattr(value, "__module__", "").startswith(module.__name__)]
    names = getattr(module, "__all__", own)
    rows = [(Markdown(f"`{key}`"), _first_sentence(getattr(module, key))) for key in names if key[0] != "_"]
    return f"{_first_sentence(module)}\n\n{Table(('name', 'what it is'), rows)._repr_markdown_()}\n"


def _first_sentence(thing: Any) -> Markdown:
    """Of the docstring, with code in backticks; of data, what kind they are."""
    if not (inspect.ismodule(thing) or inspect.isroutine(thing) or inspect.isclass(thing)):
        return Markdown(f"data: a {type(thing).__name__}")
    paragraph = " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())
    sentence = re.split(r"(?<=\.)\s(?=[A-Z])", paragraph)[0]
    return Markdown("".join(part if part[:1] == "`" else escaped(part) for part in re.split(r"(`[^`]+`)", sentence)))


def write_pages(source: Path) -> None:
    """Write all of these into the gathered sources."""
    made, gallery = source / "_made", source / "_static" / "gallery"
    for folder in (made, gallery, source / "claims"):
        folder.mkdir(parents=True)
    (made / "ledger.html").write_text(ledger_html(), encoding="utf-8")
    (made / "gallery.html").write_text(gallery_html(gallery), encoding="utf-8")
    (made / "moving.html").write_text(moving_html(source / "_static" / "animations"), encoding="utf-8")
    for name in sorted(key for key in ot_latent.__all__ if inspect.ismodule(getattr(ot_latent, key))):
        (made / f"{name}.md").write_text(module_table(name), encoding="utf-8")
    for paper in PAPERS:
        (source / "claims" / f"{paper}.md").write_text(claims_page(paper), encoding="utf-8")
