"""Build the website: ``python docs/build.py`` gathers its sources and runs Sphinx, with warnings as errors.

Sphinx wants its sources in one folder, but notebooks, figures, benchmarks and the changelog lie beside
``docs/``. They are gathered in ``build/docs/source``; the pages are in ``build/docs/html``. Nothing else is written.
"""

import argparse
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path

from pages import FILES, ROOT, write_pages
from sphinx.cmd.build import build_main


def gather(source: Path) -> None:
    """Copy all that the website is made of into an empty folder."""
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(ROOT / "docs", source, ignore=shutil.ignore_patterns("__pycache__", "build.py", "animations"))
    if (ROOT / "docs" / "animations").is_dir():
        shutil.copytree(ROOT / "docs" / "animations", source / "_static" / "animations")
    for folder, pattern in (("notebooks", "*.ipynb"), ("figures", "*.png"), ("benchmarks", "*.md")):
        (source / folder).mkdir()
        for path in (ROOT / folder).glob(pattern):
            shutil.copy2(path, source / folder)
    shutil.copy2(ROOT / "CHANGELOG.md", source / "changelog.md")
    benchmarks = source / "benchmarks" / "README.md"  # links to scripts, which are no pages
    text = re.sub(r"\]\((\w+\.py)\)", rf"]({FILES}/benchmarks/\1)", benchmarks.read_text(encoding="utf-8"))
    benchmarks.write_text(text + "\n```{toctree}\n:hidden:\n:glob:\n*\n```\n", encoding="utf-8")
    index = source / "index.md"  # pages that are not there yet
    lines = index.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not re.fullmatch(r"\w+[/\w]*\*\n", line) or any(source.glob(line.strip()))]
    index.write_text("".join(kept), encoding="utf-8")
    (source / "_static" / "mathjax").mkdir()
    for file in metadata.files("sphinx-mathjax-offline") or []:
        if file.name == "tex-svg-full.js":
            shutil.copy2(file.locate(), source / "_static" / "mathjax")
    write_pages(source)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "build" / "docs", help="where to build")
    folder = parser.parse_args().folder.resolve()
    gather(folder / "source")
    options = ["--fail-on-warning", "--quiet", "--jobs", "auto", "--doctree-dir", str(folder / "doctrees")]
    failed = build_main([*options, str(folder / "source"), str(folder / "html")])
    if not failed:
        print(f"open {folder / 'html' / 'index.html'}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
