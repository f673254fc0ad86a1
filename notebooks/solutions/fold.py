"""Fold exercises, hints and solutions into the notebooks, or write a student edition.

NN_name.md beside this file holds the exercises of NN_name.ipynb: `# 1`, the question, `## Hint`,
`## Solution`. A fence ```python of a solution is shown and run; a fence ```python assert is only
run: it asserts the numbers that the text states. Tests run each solution in the state that the
notebook ends in, as a reader would.

    python notebooks/solutions/fold.py                          # exercises and links, in place
    python notebooks/solutions/fold.py --student build/student  # questions, hints, empty cells
"""

import argparse
import json
import os
import re
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell

from ot_latent._storage import write_atomically

HERE = Path(__file__).resolve().parent
NOTEBOOKS = HERE.parent
TITLE, START = "## Try it", "00_start_here"
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


def _link(name: str, text: str = "{}") -> str:
    title = nbformat.read(NOTEBOOKS / f"{name}.ipynb", 4).cells[0].source.splitlines()[0]
    return f"[{text.format(title.removeprefix('# '))}]({name}.ipynb)"


def _around(name: str) -> tuple[str | None, str | None]:
    """The notebooks before and after."""
    names = [None, *sorted(path.stem for path in NOTEBOOKS.glob("[0-9]*.ipynb")), None]
    place = names.index(name)
    return names[place - 1], names[place + 1]


def ways(name: str) -> str:
    """The links that end a notebook's first cell: to the one before, the first and the next."""
    before, after = _around(name)
    links = [_link(before, "← {}")] if before else []
    if before and before != START:
        links.append(_link(START))
    return " · ".join([*links, *([_link(after, "{} →")] if after else [])])


def onward(name: str) -> str:
    """The line that leads from a notebook to the next."""
    _, after = _around(name)
    return (
        f"**Next:** {_link(after)}" if after else f"That was the last one: back to {_link(START)}."
    )


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
    notebook = json.loads(path.read_text(encoding="utf-8"))
    first, last = notebook["cells"][0], notebook["cells"][-1]
    top = re.sub(r"\n\n\[(← |0).*\Z", "", "".join(first["source"]))
    first["source"] = f"{top}\n\n{ways(name)}".splitlines(keepends=True)
    before, _ = split("".join(last["source"]))
    last["source"] = "\n\n".join(filter(None, [before, folded(name)])).splitlines(keepends=True)
    text = json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"
    write_atomically(path, text)


def student(name: str, folder: Path) -> nbformat.NotebookNode:
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
    up = Path(os.path.relpath(NOTEBOOKS.parent, folder)).as_posix()
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            # Binder opens the project's own notebook
            source = re.sub(r"\[!\[Open in Binder.*\n\n", "", cell.source)
            cell.source = source.replace("](../", f"]({up}/")
    return notebook


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--student", type=Path, metavar="FOLDER", help="write the student edition")
    folder = parser.parse_args(arguments).student
    names = sorted(path.stem for path in HERE.glob("[0-9]*.md"))
    targets = [folder / f"{name}.ipynb" for name in names] if folder else []
    if there := next((target for target in targets if target.exists()), None):
        parser.error(
            f"{there} exists, perhaps with answers in it: move it away, or name a new folder"
        )
    if not folder:
        for name in names:
            fold(name)
    for name, target in zip(names, targets, strict=False):
        folder.mkdir(parents=True, exist_ok=True)
        nbformat.write(student(name, folder), target)


if __name__ == "__main__":
    main()
