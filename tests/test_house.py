"""The house is small and has few, named rooms: the measures that CONTRIBUTING states."""

import ast

import pytest

MOST = {"lines of a file": 350, "lines of a function": 45, "modules of a room": 12}
CORE, LIBRARY = 8_512, 20_895  # lines; but for what is new to do, they shall only fall


@pytest.fixture(scope="module")
def files(root):
    """Source by path."""
    return {path: path.read_text(encoding="utf-8") for path in (root / "ot_latent").rglob("*.py")}


def test_files_are_short(files):
    lengths = {path.name: len(text.splitlines()) for path, text in files.items()}
    assert {name: n for name, n in lengths.items() if n > MOST["lines of a file"]} == {}


def test_functions_are_short(files):
    """Without their docstrings."""
    long = {}
    for path, text in files.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = node.end_lineno - body[0].lineno + 1 if body else 0
                if lines > MOST["lines of a function"]:
                    long[f"{path.name}:{node.name}"] = lines
    assert long == {}


def test_rooms_hold_few_modules(files):
    rooms = {}
    for path in files:
        if path.name != "__init__.py":
            rooms.setdefault(path.parent, []).append(path.name)
    assert {str(room): names for room, names in rooms.items() if len(names) > MOST["modules of a room"]} == {}


def test_the_library_is_thin(files, root):
    lines = {path.relative_to(root / "ot_latent"): len(text.splitlines()) for path, text in files.items()}
    rooms = ("priors", "laguerre", "semidiscrete")
    core = sum(n for path, n in lines.items() if len(path.parts) == 1 or path.parts[0] in rooms)
    assert core < CORE
    assert sum(lines.values()) < LIBRARY
