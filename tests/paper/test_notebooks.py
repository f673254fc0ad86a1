"""The committed notebooks: what nbval does not look at, and that each and its solutions run at smoke.

nbval passes cells that were never executed, unknown magics and failing shell commands, and takes
no offence at machine paths or timings in outputs.
"""

import copy
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fold
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from ot_latent.paper.ledger import read_results
from ot_latent.paper.reproduce import LAST, reproduce, select_notebooks

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NAMES = [path.stem for path in select_notebooks(None, FOLDER)]

PARAMETERS = """\
scale = "quick"
seed = 0
train = False
device = "auto"
data_dir = None
figures_dir = "../figures"
""".strip()

MAX_LINES = 20  # of a code cell
MAX_SENTENCES = 9  # of a paragraph
MAX_BYTES = 500_000
#: Notebooks that may be larger: name -> (bytes, why).
LARGE: dict[str, tuple[int, str]] = {
    "03_monotone_maps": (600_000, "maps and densities of ten priors"),
    "05_eight_gaussians": (1_150_000, "clouds of three toys under two methods"),
    "06_mnist_samples": (700_000, "64 digits of each of nine sources"),
    "07_celeba_samples": (550_000, "faces of six sources, and between them"),
    "08_inception_scores": (550_000, "images of five generators under three operations"),
    "13_latent_operations_gallery": (1_600_000, "a page of images of each generator, means and walks"),
    "16_vae_or_ot": (750_000, "codes of eight points under six models, digits of three"),
    "17_any_latent_law": (755_000, "digits, logos and faces under six operations"),
}

TAGS = {"parameters", "nbval-check-output", "nbval-ignore-output"}
MACHINE_PATH = re.compile(r"(?:/home/|/root/|/tmp/|/Users/|[A-Z]:\\)")
WIDGET = "application/vnd.jupyter.widget-view+json"


def problems(notebook, name, names, size=0):
    """All that is wrong with a committed notebook, as sentences; `names` are those of all."""
    code = [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]
    return [
        *_parameter_problems(code),
        *_code_problems(code, name),
        *_execution_problems(code),
        *_output_problems(code),
        *_metadata_problems(notebook),
        *_text_problems(notebook),
        *_prose_problems(notebook),
        *_link_problems(notebook, name, names),
        *_size_problems(name, size),
    ]


def _parameter_problems(code):
    tagged = [cell.source.strip() for cell in code if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) != 1:
        yield f"{len(tagged)} cells are tagged `parameters`, not one"
    elif tagged[0] != PARAMETERS:
        yield "the parameters cell is not the usual six lines"


def _code_problems(code, name):
    for cell in code:
        if (lines := len(cell.source.splitlines())) > MAX_LINES:
            yield f"a cell of {lines} lines, more than {MAX_LINES}: {cell.source[:80]!r}"
    run = f'run = otl.Run("{name}", scale, seed, train, device, data_dir, figures_dir)'
    if [line for cell in code for line in cell.source.splitlines()].count(run) != 1:
        yield f"not once the line `{run}`"


def _execution_problems(code):
    counts = [cell.execution_count for cell in code]
    if counts != list(range(1, len(code) + 1)):
        yield f"it was not executed once from top to bottom: {counts}"
    for cell in code:
        if re.search(r"^\s*[!%]", cell.source, flags=re.MULTILINE):
            yield f"a magic or a shell command, whose failure would pass: {cell.source!r}"


def _output_problems(code):
    for cell in code:
        for output in cell.outputs:
            if output.output_type == "error":
                yield f"an error among the outputs: {output.ename}"
            elif output.get("name") == "stderr":
                yield f"a warning or a progress bar among the outputs: {output.text[:80]!r}"
            elif WIDGET in output.get("data", {}):
                yield "a widget among the outputs, which shows nothing without a kernel"


def _metadata_problems(notebook):
    kernel = notebook.metadata.get("kernelspec", {})
    if (kernel.get("name"), kernel.get("language")) != ("python3", "python"):
        yield f"its kernel is not python3, but {dict(kernel)}"
    if extra := notebook.metadata.keys() - {"kernelspec", "language_info"}:
        yield f"metadata of the notebook: {sorted(extra)}"
    if "version" in notebook.metadata.get("language_info", {}):
        yield "the version of Python in its metadata"
    for cell in notebook.cells:
        if extra := cell.metadata.keys() - {"tags"}:
            yield f"metadata of cell {cell.id}: {sorted(extra)}"
        if extra := set(cell.metadata.get("tags", [])) - TAGS:
            yield f"tags of cell {cell.id}: {sorted(extra)}"


def _text_problems(notebook):
    for cell in notebook.cells:
        texts = [cell.source]
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            texts.append(output.get("text", ""))
            texts += [str(value) for kind, value in data.items() if not kind.startswith("image/")]
        for text in texts:
            if found := MACHINE_PATH.search(text):
                yield f"a machine path in cell {cell.id}: {text[found.start() :][:40]!r}"


def _prose_problems(notebook):
    for cell in notebook.cells:
        for paragraph in re.split(r"\n\s*\n", cell.source if cell.cell_type == "markdown" else ""):
            sentences = re.findall(r"[.!?](?=[\s)*]|$)", re.sub(r"\$.*?\$|`.*?`", "", paragraph, flags=re.DOTALL))
            if len(sentences) > MAX_SENTENCES and not paragraph.lstrip().startswith(("```", "- ", "1. ")):
                yield f"{len(sentences)} sentences in a paragraph of cell {cell.id}: {paragraph[:40]!r}"


def _link_problems(notebook, name, names):
    first, last = notebook.cells[0].source, notebook.cells[-1].source
    position = names.index(name)
    following = names[position + 1 : position + 2] or [LAST]
    for other in {LAST, *following} - {name}:
        if f"]({other}.ipynb)" not in first:
            yield f"the first cell does not link to {other}.ipynb"
    if f"]({following[0]}.ipynb)" not in last.rpartition("\n\n")[2]:
        yield f"it does not end with a link to {following[0]}.ipynb"


def _size_problems(name, size):
    allowed, _ = LARGE.get(name, (MAX_BYTES, ""))
    if size > allowed:
        yield f"it has {size:,} bytes, more than {allowed:,}"


@pytest.mark.parametrize("name", NAMES)
def test_notebook_is_clean(name):
    path = FOLDER / f"{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert problems(notebook, name, NAMES, path.stat().st_size) == []


def test_notebooks_are_numbered_in_reading_order():
    assert NAMES[0] == LAST
    numbers = [name[:2] for name in NAMES]
    assert len(set(numbers)) == len(numbers)
    assert all(re.fullmatch(r"\d\d_\w+", name) for name in NAMES)


def test_the_cookbook_has_its_three_notebooks():
    assert NAMES[14:17] == ["14_penalized_ot", "15_two_sides_of_w1", "16_vae_or_ot"]


def test_large_notebooks_are_still_there_and_still_large():
    sizes = {name: (FOLDER / f"{name}.ipynb").stat().st_size for name in LARGE}
    assert all(size > MAX_BYTES for size in sizes.values()), sizes


RUN = 'run = otl.Run("01_this", scale, seed, train, device, data_dir, figures_dir)'


@pytest.fixture
def clean():
    """A notebook without a problem, the second of three."""
    cells = [
        new_markdown_cell("# Title\n[start](00_start_here.ipynb) [next](02_next.ipynb)"),
        new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}, execution_count=1),
        new_code_cell(RUN, execution_count=2),
        new_code_cell("plot();", execution_count=3),
        new_markdown_cell("## Try it\n\n**Next:** [next](02_next.ipynb)"),
    ]
    # base64 holds slashes: a picture is no text
    picture = {"image/png": "iVBOR/tmp/Rw0KGgo", "text/plain": "<Figure>"}
    cells[3].outputs = [new_output("display_data", data=picture)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def checked(notebook, size=0):
    return problems(notebook, "01_this", ["00_start_here", "01_this", "02_next"], size)


def test_the_checker_passes_a_clean_notebook(clean):
    assert checked(clean) == []


def _set(part, key, value):
    def damage(notebook):
        part(notebook)[key] = value

    return damage


def _cell(notebook):
    return notebook.cells[3]


def _output(*args, **kwargs):
    return _set(_cell, "outputs", [new_output(*args, **kwargs)])


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda nb: nb.cells.pop(1), "0 cells are tagged"),
        (lambda nb: nb.cells.append(copy.deepcopy(nb.cells[1])), "2 cells are tagged"),
        (_set(lambda nb: nb.cells[1], "source", PARAMETERS + "\nn = 3"), "usual six lines"),
        (_set(_cell, "execution_count", None), "not executed once from top to bottom"),
        (_set(_cell, "execution_count", 4), "not executed once from top to bottom"),
        (_set(_cell, "source", "x = 1\n" * (MAX_LINES + 1)), "a cell of 21 lines"),
        (lambda nb: nb.cells.pop(2), "not once the line"),
        (_set(lambda nb: nb.cells[2], "source", RUN.replace("01_this", "02_next")), "not once the line"),
        (_set(lambda nb: nb.cells[2], "source", RUN.replace("scale, ", "scale,\n")), "not once the line"),
        (_set(_cell, "source", "x = 1\n!false"), "shell command"),
        (_set(_cell, "source", "%nonsense\nraise"), "shell command"),
        (_output("error", ename="KeyError", evalue="", traceback=[]), "an error among"),
        (_output("stream", name="stderr", text="UserWarning: no"), "a warning or a progress"),
        (_output("display_data", data={WIDGET: {}}), "a widget among"),
        (_output("stream", name="stdout", text="saved /home/me/x.png"), "a machine path"),
        (_output("display_data", data={"text/html": "<a href='/tmp/x'>"}), "a machine path"),
        (_set(_cell, "source", "open('/root/x')"), "a machine path"),
        (_set(lambda nb: nb.metadata.kernelspec, "name", "conda-env"), "kernel is not python3"),
        (_set(lambda nb: nb.metadata, "papermill", {}), "metadata of the notebook"),
        (_set(lambda nb: nb.metadata, "widgets", {}), "metadata of the notebook"),
        (_set(lambda nb: nb.metadata.language_info, "version", "3.11"), "version of Python"),
        (_set(lambda nb: _cell(nb).metadata, "execution", {}), "metadata of cell"),
        (_set(lambda nb: _cell(nb).metadata, "tags", ["nbval-skip"]), "tags of cell"),
        (_set(lambda nb: nb.cells[0], "source", "[start](00_start_here.ipynb)"), "to 02_next"),
        (_set(lambda nb: nb.cells[0], "source", "[next](02_next.ipynb)"), "to 00_start_here"),
        (lambda nb: nb.cells.pop(), "does not end with a link to 02_next"),
        (_set(lambda nb: nb.cells[4], "source", "One more. " * 10), "10 sentences in a paragraph"),
    ],
)
def test_the_checker_finds_a_damage(clean, damage, complaint):
    damage(clean)
    assert any(complaint in problem for problem in checked(clean)), checked(clean)


def test_the_checker_finds_a_large_notebook(clean):
    assert checked(clean, MAX_BYTES) == []
    assert checked(clean, MAX_BYTES + 1) == ["it has 500,001 bytes, more than 500,000"]


@pytest.mark.notebooks
@pytest.mark.parametrize("name", NAMES)
def test_notebook_runs_at_smoke(name, tmp_path):
    """With the solutions of its exercises behind it, each in the state that the notebook ends in."""
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    notebook.cells += fold.runnable(name)
    (tmp_path / "notebooks").mkdir()
    nbformat.write(notebook, tmp_path / "notebooks" / f"{name}.ipynb")
    folders = {"root": tmp_path, "build_dir": tmp_path / "build", "figures_dir": tmp_path / "figures"}
    with ThreadPoolExecutor(1) as executor:  # a process for one notebook would cost seconds, and show no more
        report = reproduce([name], scale="smoke", jobs=2, executor=executor, **folders)
    assert int(report) == 0, report.failed[0].error
    rows = read_results(folders["figures_dir"]).get(name, {"rows": {}})["rows"]
    # an estimate from so few samples may miss even what is true by construction; an exact number may not
    exact = {key: row["verdict"] for key, row in rows.items() if row["interval"] is None}
    assert [key for key, verdict in exact.items() if verdict == "by construction: fails"] == []


@pytest.mark.notebooks
def test_missing_data_says_how_to_mend_it(tmp_path, monkeypatch):
    monkeypatch.delenv("OT_LATENT_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for scheme in ("http_proxy", "https_proxy", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(scheme, "http://127.0.0.1:9")  # nobody listens: there is no network
    folders = {"build_dir": tmp_path, "figures_dir": tmp_path / "figures"}
    with ThreadPoolExecutor(1) as executor:
        report = reproduce(["06_mnist_samples"], scale="smoke", executor=executor, **folders)
    assert int(report) == 1
    error = report.failed[0].error
    assert "MissingDataError" in error
    assert "ot-latent data get mnist" in error
