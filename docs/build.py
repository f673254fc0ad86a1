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

from pages import FILES, ROOT, SITE, write_pages
from sphinx.cmd.build import build_main

UNLISTED = ("404.html", "search.html", "genindex.html")


def gather(source: Path) -> None:
    """Copy all that the website is made of into an empty folder."""
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(ROOT / "docs", source, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    shutil.copy2(ROOT / "docs" / "conf.py", source)
    for path in source.rglob("*.md"):  # all lie one folder higher now: links to the repository lose one step up
        up = "../" * len(path.relative_to(source).parts)
        text = path.read_text(encoding="utf-8").replace(f"]({up}", f"]({up[3:]}")
        path.write_text(text, encoding="utf-8")
    for folder, pattern in (("notebooks", "*.ipynb"), ("figures", "*.png"), ("benchmarks", "*.md")):
        (source / folder).mkdir()
        for path in (ROOT / folder).glob(pattern):
            shutil.copy2(path, source / folder)
    for path in (source / "notebooks").glob("*.ipynb"):  # the pages of docs/ lie beside them now
        path.write_text(path.read_text(encoding="utf-8").replace("](../docs/", "](../"), encoding="utf-8")
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


def write_sitemap(html: Path) -> None:
    """List all pages but those that nobody should find."""
    names = sorted(path.relative_to(html).as_posix() for path in html.rglob("*.html"))
    places = "".join(f"<url><loc>{SITE}{name}</loc></url>\n" for name in names if name not in UNLISTED)
    schema = "http://www.sitemaps.org/schemas/sitemap/0.9"
    text = f'<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="{schema}">\n{places}</urlset>\n'
    (html / "sitemap.xml").write_text(text, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "build" / "docs", help="where to build")
    folder = parser.parse_args().folder.resolve()
    source, html = folder / "source", folder / "html"
    gather(source)
    shutil.rmtree(html, ignore_errors=True)
    options = ["--fail-on-warning", "--quiet", "--fresh-env", "--jobs", "auto", "--doctree-dir"]
    failed = build_main([*options, str(folder / "doctrees"), str(source), str(html)])
    if not failed:
        write_sitemap(html)
        print(f"open {html / 'index.html'}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
