"""The website: it builds without a warning, links lead somewhere, examples run, pages open without an error."""

import doctest
import functools
import inspect
import re
import subprocess
import sys
import threading
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import browser
import lecture
import pytest
from filelock import FileLock

import ot_latent
from ot_latent.paper.claims import claims

ROOT = Path(__file__).resolve().parents[2]
SITE = "https://ot-latent.github.io/ot_latent/"
VIEWS = {"light": (1280, 900, "light"), "dark": (1280, 900, "dark"), "phone": (390, 844, "light")}
# of a page in the browser
UNSET = "document.querySelectorAll('[data-mml-node=merror], .math:not(:has(svg))').length"
OVERFLOW = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
FOUND = """new Promise(done => setInterval(() => {
  const found = document.querySelectorAll('#search-results li').length;
  if (found) done(found);
}, 50))"""
TYPE = """(words => {
  const field = document.getElementById('ledger-words');
  field.value = words;
  field.dispatchEvent(new Event('input', {bubbles: true}));
})"""
COUNT = "document.getElementById('ledger-count').textContent"
SHOWN = "[...document.querySelectorAll('#ledger tbody tr:not([hidden])')].map(row => row.dataset.key)"
EXAMPLES = [path for path in sorted((ROOT / "docs").rglob("*.md")) if ">>>" in path.read_text(encoding="utf-8")]


class Page(HTMLParser):
    """What a page links to, loads and shows."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links, self.loads, self.ids, self.pictures = [], [], set(), []
        self.told, self.in_text = [], False  # links of the text, without those around it
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids |= {given[name] for name in ("id", "name") if given.get(name)}
        self.in_text |= tag == "article"
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
            if self.in_text:
                self.told.append(given["href"])
        elif tag == "link" and given.get("rel") in ("stylesheet", "icon"):
            self.loads.append(given["href"])
        elif given.get("src") and tag != "a":
            self.loads.append(given["src"])
        if tag == "img":
            self.pictures.append(given)

    def handle_endtag(self, tag):
        self.in_text &= tag != "article"


@pytest.fixture(scope="session")
def site(tmp_path_factory, worker_id):
    """Where the website is, built once for all processes of this session."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared if worker_id == "master" else shared.parent
    complaints = shared / "site.txt"
    with FileLock(shared / "site.lock"):
        if not complaints.exists():
            command = [sys.executable, ROOT / "docs" / "build.py", shared / "site"]
            result = subprocess.run(command, capture_output=True, text=True)
            complaints.write_text(result.stdout + result.stderr if result.returncode else "", encoding="utf-8")
    assert complaints.read_text(encoding="utf-8") == ""
    return shared / "site" / "html"


@pytest.fixture(scope="session")
def pages(site):
    """All pages, by their address within the site."""
    return {path.relative_to(site).as_posix(): Page(path) for path in sorted(site.rglob("*.html"))}


def test_every_internal_link_leads_somewhere(site, pages):
    broken, followed = [], 0
    for name, page in pages.items():
        for link in page.links + page.loads:
            target = urlsplit(link.removeprefix(SITE) if link.startswith(SITE) else link)
            if target.scheme:
                continue
            folder = site if link.startswith(SITE) else (site / name).parent
            path = (folder / unquote(target.path)).resolve() if target.path else site / name
            path = path / "index.html" if path.is_dir() else path
            followed += 1
            if not path.is_file():
                broken.append(f"{name}: no file {link}")
            elif target.fragment and path.suffix == ".html":
                if unquote(target.fragment) not in pages[path.relative_to(site).as_posix()].ids:
                    broken.append(f"{name}: no place {link}")
    assert broken == []
    assert followed > 5_000


def test_every_result_is_three_clicks_from_the_start_page(site, pages):
    """By links of the texts alone: every page, claim, criterion and recording cell, and the cell of every figure."""
    clicks, at = {"index.html": 0}, ["index.html"]
    for place in at:  # grows: nearest places first
        page = place.partition("#")[0]
        for link in map(urlsplit, pages[page].told):
            path = (site / page).parent / unquote(link.path) if link.path else site / page
            if link.scheme or not path.is_file() or path.suffix != ".html":
                continue
            for found in (name := path.resolve().relative_to(site).as_posix(), f"{name}#{unquote(link.fragment)}"):
                if found not in clicks:
                    clicks[found] = clicks[place] + 1
                    at.append(found)
    results = {f"claims/{link.partition('claims/')[2]}" for link in pages["ledger.html"].told if "claims/" in link}
    results |= {link for name in ("ledger", "gallery") for link in pages[f"{name}.html"].told if "#nb-" in link}
    assert len(results) > 3 * len(claims().entries) / 2 + len(list((ROOT / "figures").glob("*.png")))
    wanted = results | pages.keys() - {"404.html", "search.html", "genindex.html"}
    assert {name: clicks.get(name) for name in wanted if clicks.get(name, 9) > 3} == {}


def test_nothing_is_loaded_from_elsewhere(pages):
    assert {load for page in pages.values() for load in page.loads if urlsplit(load).netloc} == set()


def test_every_picture_is_described(pages):
    pictures = [(name, picture) for name, page in pages.items() for picture in page.pictures]
    assert len(pictures) > 100
    short = [(name, picture.get("src")) for name, picture in pictures if len(picture.get("alt", "").split()) < 3]
    assert short == []


def test_the_gallery_has_every_figure(pages):
    shown = {Path(picture["src"]).stem for picture in pages["gallery.html"].pictures}
    assert shown == {path.stem for path in (ROOT / "figures").glob("*.png")}


def test_the_ledger_leads_from_every_claim_to_its_cell_and_criterion(site, pages):
    links = pages["ledger.html"].links
    criteria = [link for link in links if link.startswith("claims/") and link.endswith("-criterion")]
    assert len(set(criteria)) == len(claims().entries)
    assert set(criteria) <= {f"{link}-criterion" for link in links}
    assert sum(link.startswith("notebooks/") and "#nb-" in link for link in links) == len(claims().entries)


def test_the_sitemap_has_every_page_to_be_found(site, pages):
    listed = re.findall("<loc>(.*?)</loc>", (site / "sitemap.xml").read_text(encoding="utf-8"))
    assert set(listed) == {SITE + name for name in pages.keys() - {"404.html", "search.html", "genindex.html"}}


def test_the_page_for_what_is_not_found_works_at_any_depth(pages):
    page = pages["404.html"]
    assert [link for link in page.links + page.loads if not link.startswith((SITE, "data:"))] == []


def test_every_public_name_is_documented_with_an_example():
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "api").glob("*.md"))
    missing = []
    for name in ot_latent.__all__:
        thing = getattr(ot_latent, name)
        _, found, after = text.partition(f"## {name}\n" if inspect.ismodule(thing) else f":: ot_latent.{name}\n")
        beside = re.split(r"^## |^```{eval-rst}", after, maxsplit=1, flags=re.MULTILINE)[0]
        if not found or ">>>" not in beside + (inspect.getdoc(thing) or ""):
            missing.append(name)
    assert missing == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_print_what_they_show(path):
    text = re.sub("^```.*$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    runner = doctest.DocTestRunner()
    runner.run(doctest.DocTestParser().get_doctest(text, {}, path.name, str(path), 0))
    assert runner.tries > 0
    assert runner.failures == 0


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    """A window of Chromium."""
    if browser.EXECUTABLE is None:
        pytest.skip("no Chromium on the PATH; on Debian `apt-get install chromium` brings it")
    window = browser.Browser(tmp_path_factory.mktemp("chromium") / "profile")
    yield window
    window.close()


def test_pages_open_from_disk_in_both_themes_and_on_a_phone(site, pages, window):
    """Without an error of the console or a request to others; screenshots are in build/docs/screenshots."""
    wrong = []
    for name in pages:
        window.show(*VIEWS["light"])
        wrong += [f"{name}: {error}" for error in window.open((site / name).as_uri())]
        if failed := window.evaluate(UNSET):
            wrong.append(f"{name}: {failed} formulas are not typeset")
        for view, size in VIEWS.items():
            window.show(*size)
            if window.evaluate(OVERFLOW):
                wrong.append(f"{name}: wider than the window, {view}")
            window.screenshot(ROOT / "build" / "docs" / "screenshots" / view / f"{name.replace('/', '_')}.png")
    assert wrong == []


@pytest.fixture(scope="module")
def address(site):
    """Of a server of the website."""
    handler = functools.partial(Quiet, directory=site)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def test_pages_open_from_a_server(address, window):
    names = ("index", "notebooks/00_start_here", "ledger", "gallery", "api/operations", "which", "404")
    assert {name: errors for name in names if (errors := window.open(f"{address}/{name}.html"))} == {}


@pytest.mark.parametrize("served", [False, True], ids=["disk", "server"])
def test_search_finds_pages(site, address, window, served):
    start = address if served else site.as_uri()
    assert window.open(f"{start}/search.html?q=slerp") == []
    assert window.evaluate(FOUND) >= 1


def test_the_ledger_can_be_searched(site, window):
    window.open((site / "ledger.html").as_uri())
    total = len(claims().entries)
    assert window.evaluate(COUNT) == f"{total} of {total} claims"
    window.evaluate(f"{TYPE}('SLERP uniform fig1')")
    assert window.evaluate(SHOWN) == ["agustsson2019.fig1.uniform.slerp"]
    assert window.evaluate(COUNT) == f"1 of {total} claims"
    window.evaluate(f"{TYPE}('no such claim')")
    assert window.evaluate(SHOWN) == []


def test_slides_open_without_a_network_and_fit_the_screen(tmp_path, window):
    lecture.copy_scripts(tmp_path)
    lecture.write("session1", dict(lecture.sessions())["session1"], tmp_path)
    window.show(1280, 720, "light")
    assert window.open((tmp_path / "session1.html").as_uri()) == []
    ready = "new Promise(done => { const wait = () => Reveal.isReady() ? done() : setTimeout(wait, 50); wait() })"
    window.evaluate(ready)
    number = window.evaluate("Reveal.getTotalSlides()")
    assert number > 20
    for _ in range(number - 1):
        height = "Reveal.getCurrentSlide().getBoundingClientRect().height"
        assert 0 < window.evaluate(height) <= 720
        window.evaluate("Reveal.next()")
    assert window.evaluate("Reveal.isLastSlide()")
    assert window.evaluate("document.querySelectorAll('mjx-container').length") > 5
