"""The exercises of the notebooks: files that are folded into them; `test_notebooks` runs the solutions."""

import re

import fold
import lecture
import pytest
from nbformat import NO_CONVERT, read

from ot_latent.paper.reproduce import select_notebooks

NAMES = [path.stem for path in select_notebooks(None, fold.NOTEBOOKS)]


def test_every_notebook_has_exercises():
    assert sorted(path.stem for path in fold.HERE.glob("*.md")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_agrees_with_its_file(name):
    first, *_, last = read(fold.NOTEBOOKS / f"{name}.ipynb", NO_CONVERT).cells
    told = "run: python notebooks/solutions/fold.py"
    assert first.source.endswith(f"\n\n{fold.ways(name)}"), told
    assert fold.split(last.source)[1] == fold.folded(name), told


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
        notebook = fold.student(name, fold.NOTEBOOKS.parent / "build" / "student")
        text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        assert "<summary>Solution</summary>" not in text
        assert text.count("<summary>Hint</summary>") == len(fold.exercises(name))
        assert sum(cell.cell_type == "code" and not cell.source for cell in notebook.cells) == len(fold.exercises(name))


def test_a_student_edition_is_not_written_over(tmp_path, capsys):
    fold.main(["--student", str(tmp_path)])
    answered = tmp_path / f"{NAMES[0]}.ipynb"
    text = answered.read_text(encoding="utf-8")
    answered.write_text(text.replace("Try it", "Tried"), encoding="utf-8")
    with pytest.raises(SystemExit):
        fold.main(["--student", str(tmp_path)])
    assert "perhaps with answers" in capsys.readouterr().err
    assert "Tried" in answered.read_text(encoding="utf-8")


def test_slides_hold_pictures_headings_and_one_note_each():
    for name, notebook in lecture.decks():
        kinds = [cell.metadata["slideshow"]["slide_type"] for cell in notebook.cells]
        assert kinds[0] == "slide" and {"slide", "-", "notes"} <= set(kinds) <= {"slide", "subslide", "-", "notes"}
        assert not any(pair == ("notes", "notes") for pair in zip(kinds, kinds[1:], strict=False)), name
        assert any("Try it" in cell.source for cell in notebook.cells)


SESSIONS = fold.HERE.parents[1] / "docs" / "course" / "sessions.md"


def test_the_sessions_name_what_there_is():
    """Each takes ninety minutes less a break and a look back, of parts and exercises that the notebooks have."""
    for session in SESSIONS.read_text(encoding="utf-8").split("\n## Session")[1:]:
        rows = re.findall(r"^\| (\d+) \| \[.*notebooks/(\w+)\.ipynb\) \| (.*) \| (.*) \|$", session, re.MULTILINE)
        assert sum(int(minutes) for minutes, *_ in rows) == 80
        for _, name, parts, numbers in rows:
            notebook = read(fold.NOTEBOOKS / f"{name}.ipynb", NO_CONVERT)
            text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
            assert set(re.findall(r"\*(.+?)\*", parts)) <= set(re.findall("^## (.*)$", text, re.MULTILINE))
            chosen = {number for number, _ in re.findall(r"(\d+) \((\d+)\)", numbers)}
            assert chosen and chosen <= {each.number for each in fold.exercises(name)}
        homework = re.findall(r"\b(\d\d)\.(\d)\b", session)
        for begin, number in homework:
            (name,) = (name for name in NAMES if name.startswith(begin))
            assert number in {each.number for each in fold.exercises(name)}
