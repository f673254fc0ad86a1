"""The explorer of notebook 03 in JupyterLab: how soon pictures follow the slider, in headless Chromium.

Each move is a press of an arrow key. Writes benchmarks/explorer.md; needs chromium and `pip install -e '.[dev]'`.

    python benchmarks/explorer.py           # a minute
    python benchmarks/explorer.py --moves 4 # a look
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import numpy as np
from _report import parser, table, write

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests" / "docs"))
from browser import Browser  # noqa: E402

FIRST = "cell-02", "cell-03"  # parameters and imports
PLACES = 9
ARROWS = {"ArrowLeft": 37, "ArrowRight": 39}
# of a page in the browser: all cells are run once the kernel is there, until pictures are shown
RUN = """new Promise(done => { let asked; const again = setInterval(() => {
  const lab = window.jupyterapp, kernel = lab?.shell.currentWidget?.sessionContext?.session?.kernel;
  if (!asked && kernel?.status === 'idle') asked = lab.commands.execute('notebook:run-all-cells');
  if (!document.querySelector('.noUi-handle') || !document.querySelector('.jp-OutputArea img')) return;
  clearInterval(again);
  done();
}, 1000) })"""
# milliseconds from a key's event until other pictures are shown, and until the frame after that was drawn
MOVE = """window.move = new Promise(done => {
  const shown = () => [...document.querySelectorAll('.jp-OutputArea img')]
    .filter(image => image.offsetParent && image.complete && image.naturalWidth).map(image => image.src).join();
  const before = shown(), handle = document.querySelector('.noUi-handle');
  let start;
  const look = () => {
    if (['', before].includes(shown())) return requestAnimationFrame(look);
    const there = performance.now() - start;
    requestAnimationFrame(() => setTimeout(() => done([there, performance.now() - start])));
  };
  handle.addEventListener('keydown', () => { start = performance.now(); look(); }, {capture: true, once: true});
  handle.focus();
}); 0"""


def write_notebook(path):
    """Notebook 03 with nothing but its explorer, whose code is folded so that the output is on the screen."""
    notebook = nbformat.read(ROOT / "notebooks" / "03_monotone_maps.ipynb", as_version=4)
    notebook.cells = [cell for cell in notebook.cells if cell.id in FIRST or cell.id.startswith("cell-26")]
    for cell in notebook.cells:
        cell.outputs, cell.execution_count, cell.metadata["jupyter"] = [], None, {"source_hidden": True}
    nbformat.write(notebook, path)


def start_lab(folder):
    """JupyterLab without the user's settings, in a folder; the process and the address of its notebook."""
    kinds = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    options = ["--no-browser", "--allow-root", "--ServerApp.port=0", "--IdentityProvider.token="]
    options += ["--LabApp.expose_app_in_browser=True", f"--ServerApp.root_dir={folder}"]
    log = (folder / "lab.log").open("w+", encoding="utf-8")
    environment = os.environ | {kind: str(folder / kind) for kind in kinds}
    lab = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options], stdout=log, stderr=log, env=environment)
    while lab.poll() is None:
        log.seek(0)
        if found := re.search(r"http://(?:localhost|127\.0\.0\.1):(\d+)/lab", log.read()):
            return lab, f"http://127.0.0.1:{found[1]}/lab/tree/explorer.ipynb?reset"
        time.sleep(0.1)
    log.seek(0)
    raise RuntimeError(f"JupyterLab did not start: {log.read()}")


def measure(address, folder, moves):
    """Milliseconds of so many moves, (moves, 2)."""
    browser = Browser(folder / "profile")
    try:
        browser.socket.settimeout(600)
        browser.show(1280, 1000, "light")
        browser.open(address)
        browser.evaluate(RUN)
        found, place, key = [], PLACES // 2, "ArrowRight"
        while len(found) < moves:
            key = {0: "ArrowRight", PLACES - 1: "ArrowLeft"}.get(place, key)
            place += 1 if key == "ArrowRight" else -1
            browser.evaluate(MOVE)
            for kind in ("keyDown", "keyUp"):
                browser.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=ARROWS[key])
            found.append(browser.evaluate("window.move"))
        return np.array(found)
    finally:
        browser.close()


def moves(arguments):
    """Milliseconds from the event of the key until other pictures are in the page, and until the frame after that
    was drawn."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        write_notebook(folder / "explorer.ipynb")
        lab, address = start_lab(folder)
        try:
            found = measure(address, folder, arguments.moves)
        finally:
            lab.terminate()
            lab.wait()
    rows = []
    for what, column in zip(("in the page", "drawn"), found.T, strict=True):
        rows.append((what, *(f"{value:.0f}" for value in (*np.percentile(column, (50, 95)), column.max()))))
    return table(["pictures are", "median, ms", "95 of 100 within, ms", "longest, ms"], rows)


def main():
    options = parser(__file__, __doc__)
    options.add_argument("--moves", type=int, default=200)
    arguments = options.parse_args()
    heading = f"# The explorer\n\n{arguments.moves} moves of the slider. Made by `python benchmarks/explorer.py`.\n"
    write(arguments.out, heading, {"Moves of the slider": moves}, arguments)


if __name__ == "__main__":
    main()
