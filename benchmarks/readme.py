"""The README of this folder: what each script measures, and the first table that it wrote.

python benchmarks/readme.py
"""

import ast
import itertools
import pathlib

HERE = pathlib.Path(__file__).parent
INTRODUCTION = """\
# Benchmarks

Made by `python benchmarks/readme.py` from what the scripts wrote. Each script times the library and its
peers in one run; ratios travel between machines, seconds do not. `pip install -e '.[bench]'` adds the
peers; `semidiscrete.py --ott-python` names the Python that has JAX. Every table below is the first of its
file, which has the rest.
"""


def section(script):
    """The purpose of a script, under what conditions it was run, and the first table of its report."""
    name, report = script.name, script.with_suffix(".md")
    purpose = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))).partition("\n\n")[0]
    text = f"\n## [{script.stem}]({name})\n\n{purpose}\n\n"
    if not report.is_file():
        return text + f"*No report yet: `python benchmarks/{name}` writes it.*\n"
    heading, _, tables = report.read_text(encoding="utf-8").partition("\n## ")
    title, *conditions = heading.removeprefix("# ").split("\n\n")
    lines = tables.splitlines()
    rest = itertools.dropwhile(lambda line: not line.startswith("| "), lines)
    table = "\n".join(itertools.takewhile(lambda line: line.startswith("| "), rest))
    about = " ".join(" ".join(conditions).split())
    return f"{text}{title}. {about}\n\n**{lines[0]}** ([all tables]({report.name}))\n\n{table}\n"


def readme():
    scripts = sorted(p for p in HERE.glob("[a-z]*.py") if p.name != pathlib.Path(__file__).name)
    return INTRODUCTION + "".join(map(section, scripts))


if __name__ == "__main__":
    (HERE / "README.md").write_text(readme(), encoding="utf-8")
