"""The exercises of the notebooks: files that are folded into them; `test_notebooks` runs the solutions."""

import re

import fold
import pytest
from nbformat import NO_CONVERT, read

from ot_latent.paper.reproduce import select_notebooks

NAMES = [path.stem for path in select_notebooks(None, fold.NOTEBOOKS)]


def test_every_notebook_has_exercises():
    assert sorted(path.stem for path in fold.HERE.glob("*.md")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_agrees_with_its_file(name):
    last = read(fold.NOTEBOOKS / f"{name}.ipynb", NO_CONVERT).cells[-1].source
    assert fold.split(last)[1] == fold.folded(name), "run: python notebooks/solutions/fold.py"


@pytest.mark.parametrize("name", NAMES)
def test_exercises_are_whole(name):
    """Numbered from 1, each with a hint and a solution whose code can fail, in lines that fit the page."""
    found = fold.exercises(name)
    assert [each.number for each in found] == [str(i + 1) for i in range(len(found))]
    text = (fold.HERE / f"{name}.md").read_text(encoding="utf-8")
    assert text.count("\n## Solution\n") == len(found) > 1
    for each in found:
        assert each.question and each.hint and each.shown and "assert " in each.code
        assert "assert " not in each.shown
        assert max(map(len, each.code.splitlines())) <= 100
        compile(each.code, name, "exec")


def test_students_see_no_solution():
    for name in NAMES:
        notebook = fold.student(name)
        text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        assert "<summary>Solution</summary>" not in text
        assert text.count("<summary>Hint</summary>") == len(fold.exercises(name))
        assert sum(cell.cell_type == "code" and not cell.source for cell in notebook.cells) == len(fold.exercises(name))


def test_slides_hold_pictures_and_headings():
    kinds = [cell.metadata["slideshow"]["slide_type"] for cell in fold.slides("01_midpoint_densities_2d").cells]
    assert kinds[0] == "slide" and {"subslide", "notes", "-"} == set(kinds) - {"slide"}


SESSIONS = fold.HERE.parents[1] / "docs" / "course" / "sessions.md"


def test_the_sessions_name_what_there_is():
    """Each takes ninety minutes, of parts and exercises that the notebooks have."""
    for session in SESSIONS.read_text(encoding="utf-8").split("## Session")[1:]:
        rows = re.findall(r"^\| (\d+) \| \[.*notebooks/(\w+)\.ipynb\) \| (.*) \| (.*) \|$", session, re.MULTILINE)
        assert sum(int(minutes) for minutes, *_ in rows) == 90
        for _, name, parts, numbers in rows:
            notebook = read(fold.NOTEBOOKS / f"{name}.ipynb", NO_CONVERT)
            text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
            assert set(re.findall(r"\*(.+?)\*", parts)) <= set(re.findall("^## (.*)$", text, re.MULTILINE))
            assert set(numbers.split(", ")) <= {each.number for each in fold.exercises(name)}
        homework = re.findall(r"\b(\d\d)\.(\d)\b", session)
        for begin, number in homework:
            (name,) = (name for name in NAMES if name.startswith(begin))
            assert number in {each.number for each in fold.exercises(name)}
