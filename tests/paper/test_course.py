"""The exercises of the notebooks: files that are folded into them; `test_notebooks` runs the solutions."""

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
    assert kinds[0] == "slide" and {"subslide", "notes", "skip"} <= set(kinds)
