"""Write slides: a page of reveal.js for each notebook, and for each session of the course.

Headings, formulas, lists, pictures and tables are shown, prose goes into the speaker's notes, code
is left out. The pages and the folder `scripts` beside them need no network.

    python notebooks/solutions/lecture.py build/slides
"""

import argparse
import re
import shutil
from collections.abc import Collection, Iterator
from importlib import metadata
from pathlib import Path

import nbformat
from fold import HERE, NOTEBOOKS, exercises, split
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

SESSIONS = NOTEBOOKS.parent / "docs" / "course" / "sessions.md"
CREDIT = """# Credit

Slides and pictures: [ot_latent](https://github.com/ot-latent/ot_latent), MIT licence, after the
papers that are named with them. Digits: MNIST, Y. LeCun, C. Cortes and C. Burges, CC BY-SA 3.0.
Faces are made by networks that learnt from FairFace, K. Kärkkäinen and J. Joo, CC BY 4.0; objects
by networks that learnt from CIFAR-10, A. Krizhevsky."""
# of reveal.js and MathJax: a package that has them, and where in it
SCRIPTS = (
    ("sphinx-revealjs", r".*/revealjs/((?:dist|plugin/notes)/.*\.(?:js|css|html|ttf|woff2?))"),
    ("sphinx-mathjax-offline", r".*/mathjax/(tex-svg-full\.js)"),
)
_SHOWN = {"image/png", "image/jpeg", "text/markdown"}
_ROW = r"^\| \d+ \| \[.*notebooks/(\w+)\.ipynb\) \| (.*) \| (.*) \|$"
_LONG = 320  # characters: of a longer paragraph, a slide has what is bold at its beginning
_LEFT_OUT = ("[![", "**Run time", "[←", "[0")


class Deck:
    """Slides as they are added: cells with slide types, and one note to each with all its prose."""

    def __init__(self) -> None:
        self.cells: list[nbformat.NotebookNode] = []
        self._notes: list[str] = []
        self._heading, self._full = "", False

    def note(self, text: str) -> None:
        self._notes.append(text)

    def text(self, text: str) -> None:
        """More on this slide."""
        self._add("-", new_markdown_cell(text))
        self._full = self._full or bool(re.search(r"^- |\$\$", text, re.MULTILINE))

    def heading(self, text: str) -> None:
        """A new slide."""
        self._heading, self._full = text.lstrip("# "), False
        self._add("slide", new_markdown_cell(text))

    def picture(self, output: nbformat.NotebookNode) -> None:
        """On this slide, or under the same heading on the next where it is full."""
        if self._full:
            self._add("subslide", new_markdown_cell(f"#### {self._heading}"))
        self._add("-", new_code_cell(outputs=[output]))
        self._full = True

    def page(self) -> nbformat.NotebookNode:
        """All slides as a notebook."""
        self._flush()
        return new_notebook(cells=self.cells)

    def _add(self, kind: str, cell: nbformat.NotebookNode) -> None:
        if kind != "-":
            self._flush()
        cell.metadata["slideshow"] = {"slide_type": kind}
        self.cells.append(cell)

    def _flush(self) -> None:
        if self._notes:
            notes = new_markdown_cell("\n\n".join(self._notes))
            notes.metadata["slideshow"] = {"slide_type": "notes"}
            self.cells.append(notes)
            self._notes = []


def _pages(output: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """An output, or of a table at most eight rows a page, without its footnotes."""
    lines = output.data.get("text/markdown", "").splitlines()
    head, rule, *rows = [line for line in lines if line.startswith("|")] or [""] * 2
    if not rows:
        return [output]
    size = -(-len(rows) // -(-len(rows) // 8))
    parts = ["\n".join([head, rule, *rows[i : i + size]]) for i in range(0, len(rows), size)]
    return [new_output(output.output_type, {"text/markdown": part}) for part in parts]


def _stands_out(paragraph: str) -> bool:
    return paragraph.startswith(("$$", "- ", "|", "![", "**", "```", "*In words"))


def add(
    deck: Deck, name: str, parts: Collection[str] | None = None, chosen: str = "123456789"
) -> None:
    """The slides of a notebook, or of the parts and exercises of it that a session takes."""
    cells = nbformat.read(NOTEBOOKS / f"{name}.ipynb", 4).cells
    cells[-1].source, _ = split(cells[-1].source)
    wanted = parts is None
    for cell in cells:
        if cell.cell_type == "code":
            shown = [each for each in cell.outputs if _SHOWN & set(each.get("data", {}))]
            for output in [page for each in shown if wanted for page in _pages(each)]:
                deck.picture(output)
            continue
        for paragraph in cell.source.split("\n\n"):
            if paragraph.startswith("#"):
                title = re.sub(r"[#*$\\]", "", paragraph).strip()
                wanted = parts is None or paragraph.startswith("# ") or title in parts
                if wanted:
                    deck.heading(paragraph)
            elif wanted and not paragraph.startswith(_LEFT_OUT):
                lead = re.match(r"\*\*[^*]+\*\*", paragraph) if len(paragraph) > _LONG else None
                if lead:
                    deck.text(lead[0])
                if lead or not _stands_out(paragraph):
                    deck.note(paragraph)
                else:
                    deck.text(paragraph)
    deck.heading("## Try it")
    for each in exercises(name):
        if each.number in chosen:
            deck.text(f"**{each.number}.** {each.question}")
            deck.note(f"{each.number}. {each.hint}")


def sessions() -> Iterator[tuple[str, nbformat.NotebookNode]]:
    """Name and slides of each session of the course."""
    text = SESSIONS.read_text(encoding="utf-8")
    for number, session in enumerate(re.split(r"^## ", text, flags=re.MULTILINE)[1:], start=1):
        title, aim, *rest = session.split("\n\n")
        deck = Deck()
        deck.heading(f"# {title.strip()}")
        deck.text(f"**{aim}**")
        rows = re.findall(
            r"^\| \d+ \| \[.*notebooks/(\w+)\.ipynb\) \| (.*) \| (.*) \|$", session, re.M
        )
        for name, parts, chosen in rows:
            titles = [re.sub(r"[$\\]", "", part) for part in re.findall(r"\*(.+?)\*", parts)]
            add(deck, name, titles, "".join(re.findall(r"(\d+)(?= \()", chosen)))
        deck.heading("## What you take along")
        deck.text(next(part for part in rest if part.startswith("- ")))
        deck.heading(CREDIT)
        yield f"session{number}", deck.page()


def decks() -> Iterator[tuple[str, nbformat.NotebookNode]]:
    """Name and slides of each notebook and session."""
    for path in sorted(HERE.glob("[0-9]*.md")):
        deck = Deck()
        add(deck, path.stem)
        deck.heading(CREDIT)
        yield path.stem, deck.page()
    yield from sessions()


def copy_scripts(folder: Path) -> None:
    """What the pages of slides in the folder load."""
    for package, root in SCRIPTS:
        for file in metadata.files(package) or []:
            if found := re.fullmatch(root, file.as_posix()):
                target = folder / "scripts" / found[1]
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file.locate(), target)


def write(name: str, notebook: nbformat.NotebookNode, folder: Path) -> None:
    """A page of slides in the folder, which needs its scripts."""
    from nbconvert import SlidesExporter

    exporter = SlidesExporter(
        template_name="offline",
        extra_template_basedirs=[str(HERE)],
        reveal_url_prefix="scripts",
        reveal_theme="white",
        embed_images=True,
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    resources = {"metadata": {"name": name, "path": str(NOTEBOOKS)}}
    html, _ = exporter.from_notebook_node(notebook, resources)
    (folder / f"{name}.html").write_text(html, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where to write the pages")
    folder = parser.parse_args().folder
    copy_scripts(folder)
    for name, notebook in decks():
        write(name, notebook, folder)
        print(folder / f"{name}.html")


if __name__ == "__main__":
    main()
