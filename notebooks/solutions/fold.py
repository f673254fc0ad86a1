"""Fold exercises, hints and solutions into the notebooks; write a student edition, and slides.

NN_name.md beside this file holds the exercises of NN_name.ipynb: `# 1`, the question, `## Hint`,
`## Solution`. A fence ```python of a solution is shown and run; a fence ```python assert is only
run: it asserts the numbers that the text states. Tests run each solution in the state that the
notebook ends in, as a reader would.

    python notebooks/solutions/fold.py            # the last cell of each notebook, from the files
    python notebooks/solutions/fold.py --student  # build/student: questions, hints, empty cells
    python notebooks/solutions/fold.py --slides   # build/slides: headings, formulas and pictures
"""

import re
import shutil
import sys
from importlib import metadata
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from ot_latent._storage import write_atomically

HERE = Path(__file__).resolve().parent
NOTEBOOKS, BUILD = HERE.parent, HERE.parents[1] / "build"
TITLE = "## Try it"
# of reveal.js and MathJax, which slides load: a package that has them, and where in it
SCRIPTS = (
    ("sphinx-revealjs", r".*/revealjs/((?:dist|plugin/notes)/.*\.(?:js|css|html|ttf|woff2?))"),
    ("sphinx-mathjax-offline", r".*/mathjax/(tex-svg-full\.js)"),
)
_SHOWN = {"image/png", "image/jpeg", "text/markdown"}
_FENCE = re.compile(r"^```python( assert)?\n(.*?)^```\n?", re.MULTILINE | re.DOTALL)
_BACK = "(lambda kept: (globals().clear(), globals().update(kept)))(_before_solutions)"


class Exercise(NamedTuple):
    """What a file says of one exercise, as markdown."""

    number: str
    question: str
    hint: str
    solution: str

    @property
    def code(self) -> str:
        """Of the solution, with its assertions."""
        return "\n\n".join(code.strip("\n") for _, code in _FENCE.findall(self.solution))

    @property
    def shown(self) -> str:
        """The solution without its assertions."""
        without = _FENCE.sub(lambda fence: "" if fence[1] else fence[0], self.solution)
        return re.sub(r"\n{3,}", "\n\n", without).strip()


def exercises(name: str) -> list[Exercise]:
    """Those of a notebook, from its file."""
    text = (HERE / f"{name}.md").read_text(encoding="utf-8")
    found = re.findall(
        r"^# (\d+)\n(.*?)^## Hint\n(.*?)^## Solution\n(.*?)(?=^# \d|\Z)",
        text,
        re.MULTILINE | re.DOTALL,
    )
    return [Exercise(number, *(part.strip() for part in parts)) for number, *parts in found]


def runnable(name: str) -> list[nbformat.NotebookNode]:
    """Cells to append to the notebook: each solution with its assertions, and back to before it."""
    keep = "_before_solutions = dict(globals())"
    cells = ((keep, each.code, _BACK) for each in exercises(name))
    return [new_code_cell(source) for solution in cells for source in solution]


def onward(name: str) -> str:
    """The line that leads from a notebook to the next."""
    names = sorted(path.stem for path in NOTEBOOKS.glob("[0-9]*.ipynb"))
    later = names[names.index(name) + 1 :]
    if not later:
        return "That was the last one: back to [00 · Start here](00_start_here.ipynb)."
    first = nbformat.read(NOTEBOOKS / f"{later[0]}.ipynb", 4).cells[0].source
    return f"**Next:** [{first.splitlines()[0].removeprefix('# ')}]({later[0]}.ipynb)"


def _details(summary: str, text: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{text}\n\n</details>"


def folded(name: str) -> str:
    """The end of the notebook's last cell, from its title on."""
    parts = [TITLE]
    for each in exercises(name):
        parts.append(f"**{each.number}.** {each.question}")
        for summary, text in (("Hint", each.hint), ("Solution", each.shown)):
            parts.append(_details(summary, text))
    return "\n\n".join([*parts, onward(name)])


def split(source: str) -> tuple[str, str]:
    """What stands before the exercises in a notebook's last cell, and the exercises."""
    before, title, after = source.partition(TITLE)
    return before.rstrip(), title + after


def fold(name: str) -> None:
    """Write the exercises into the notebook; nothing else of it changes."""
    path = NOTEBOOKS / f"{name}.ipynb"
    notebook = nbformat.read(path, 4)
    before, _ = split(notebook.cells[-1].source)
    notebook.cells[-1].source = "\n\n".join(filter(None, [before, folded(name)]))
    write_atomically(path, lambda temporary: nbformat.write(notebook, temporary))


def student(name: str) -> nbformat.NotebookNode:
    """The notebook with questions, hints and an empty cell for each answer, without solutions."""
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", 4)
    before, _ = split(notebook.cells.pop().source)
    notebook.cells.append(new_markdown_cell("\n\n".join(filter(None, [before, TITLE]))))
    for each in exercises(name):
        hint = _details("Hint", each.hint)
        notebook.cells += [
            new_markdown_cell(f"**{each.number}.** {each.question}\n\n{hint}"),
            new_code_cell(),
        ]
    notebook.cells.append(new_markdown_cell(onward(name)))
    for cell in notebook.cells:
        if cell.cell_type == "markdown":  # build/student lies one folder deeper than notebooks
            cell.source = cell.source.replace("](../", "](../../")
    return notebook


def _stands_out(paragraph: str) -> bool:
    starts = ("#", "$$", "- ", "|", "![", "**")
    return paragraph.startswith(starts) and not paragraph.startswith(("**Run time", "**Next:"))


def _pages(output: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """An output, or of a table at most eight rows a page, without its footnotes."""
    lines = output.data.get("text/markdown", "").splitlines()
    head, rule, *rows = [line for line in lines if line.startswith("|")] or [""] * 2
    if not rows:
        return [output]
    size = -(-len(rows) // -(-len(rows) // 8))
    parts = ["\n".join([head, rule, *rows[i : i + size]]) for i in range(0, len(rows), size)]
    return [new_output(output.output_type, {"text/markdown": part}) for part in parts]


def slides(name: str) -> nbformat.NotebookNode:
    """The notebook with slide types: a heading with formulas or a picture, more pictures; notes."""
    notebook = student(name)
    cells, notebook.cells = notebook.cells, []
    full = True  # whether the slide has its picture
    for cell in cells:
        if cell.cell_type == "code":
            shown = [each for each in cell.outputs if _SHOWN & set(each.get("data", {}))]
            for output in [page for each in shown for page in _pages(each)]:
                slide = {"slideshow": {"slide_type": "subslide" if full else "-"}}
                notebook.cells.append(new_code_cell(outputs=[output], metadata=slide))
                full = True
            continue
        paragraphs = [part for part in cell.source.split("\n\n") if "mybinder" not in part]
        for shown, group in groupby(paragraphs, _stands_out):
            text = re.sub(r"\]\((\w+)\.ipynb\)", r"](\1.html)", "\n\n".join(group))
            begins = re.search("^#", text, re.M)
            kind = "notes" if not shown else "slide" if begins else "-"
            full = bool(re.search(r"^- |\$\$", text, re.M)) or (full and not begins)
            slide = {"slideshow": {"slide_type": kind}}
            notebook.cells.append(new_markdown_cell(text, metadata=slide))
    return notebook


def write_slides(name: str, folder: Path) -> None:
    """A page of slides in the folder, and beside it the scripts that it loads."""
    from nbconvert import SlidesExporter

    for package, root in SCRIPTS:
        for file in metadata.files(package) or []:
            if found := re.fullmatch(root, file.as_posix()):
                target = folder / "scripts" / found[1]
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file.locate(), target)
    exporter = SlidesExporter(
        template_name="slides",
        extra_template_basedirs=[str(HERE)],
        reveal_url_prefix="scripts",
        reveal_theme="white",
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    html, _ = exporter.from_notebook_node(slides(name))
    (folder / f"{name}.html").write_text(html, encoding="utf-8")


def main(arguments: list[str]) -> None:
    names = sorted(path.stem for path in HERE.glob("[0-9]*.md"))
    for name in names:
        if arguments == ["--student"]:
            target = BUILD / "student" / f"{name}.ipynb"
            target.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(student(name), target)
        elif arguments == ["--slides"]:
            write_slides(name, BUILD / "slides")
        elif not arguments:
            fold(name)
        else:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
