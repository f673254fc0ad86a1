"""`reproduce` on a small checkout of its own: failures, dying kernels and workers, seams."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from ot_latent.paper.reproduce import reproduce, select_notebooks

PARAMETERS = """\
scale = "quick"
seed = 0
train = False
device = "auto"
data_dir = None
figures_dir = "../figures"
"""


def write_notebook(folder, name, *sources, parameters=PARAMETERS):
    """A notebook of a parameters cell and the given code cells, none executed."""
    cells = [new_code_cell(parameters, metadata={"tags": ["parameters"]})]
    cells += [new_code_cell(source) for source in sources]
    kernel = {"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
    nbformat.write(new_notebook(cells=cells, metadata=kernel), folder / f"{name}.ipynb")


def touch(name):
    """A cell that leaves a file in the figures folder."""
    return f"import pathlib\npathlib.Path(figures_dir, {name!r}).write_text(scale)"


@pytest.fixture
def toy(tmp_path):
    """A checkout, in a path with a space, with one good notebook."""
    root = tmp_path / "a checkout"
    (root / "notebooks").mkdir(parents=True)
    write_notebook(root / "notebooks", "01_good", touch("01_good.txt"))
    return root


def wait_until(condition):
    """Return when the condition holds; fail after half a minute."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def executed(root, name):
    return nbformat.read(root / "build" / "notebooks" / f"{name}.ipynb", as_version=4)


def kernel_says(root, expression, **settings):
    """What a one-cell notebook prints for an expression."""
    write_notebook(root / "notebooks", "02_says", f"print({expression})")
    assert int(reproduce(["2"], root=root, **settings)) == 0
    return executed(root, "02_says").cells[-1].outputs[0].text.strip()


def test_a_broken_notebook_is_reported_and_the_others_finish(toy, capsys):
    write_notebook(toy / "notebooks", "02_broken", "x = 1", "x / 0  # on purpose")
    write_notebook(toy / "notebooks", "03_good", touch("03_good.txt"))
    before = contents(toy / "notebooks")

    report = reproduce(root=toy, jobs=1)

    assert int(report) == 1
    assert [outcome.name for outcome in report.failed] == ["02_broken"]
    written = {path.name for path in (toy / "figures").iterdir()}
    assert written == {"01_good.txt", "03_good.txt"}
    printed = capsys.readouterr().err
    assert "cell 4 of 4" in printed  # papermill adds a cell with our parameters
    assert "x / 0  # on purpose" in printed
    assert "ZeroDivisionError: division by zero" in printed
    assert contents(toy / "notebooks") == before


def test_a_second_run_changes_nothing(toy):
    assert int(reproduce(root=toy)) == 0
    committed = contents(toy / "notebooks") | contents(toy / "figures")
    assert int(reproduce(root=toy)) == 0
    assert contents(toy / "notebooks") | contents(toy / "figures") == committed


def test_start_here_runs_last(toy):
    write_notebook(
        toy / "notebooks", "00_start_here", "import pathlib\nassert pathlib.Path(figures_dir, '01_good.txt').exists()"
    )
    assert int(reproduce(root=toy, jobs=2)) == 0


def test_a_kernel_that_dies_is_reported(toy, capsys):
    write_notebook(toy / "notebooks", "02_dies", "import os\nos.kill(os.getpid(), 9)")
    report = reproduce(root=toy)
    assert [outcome.name for outcome in report.failed] == ["02_dies"]
    printed = capsys.readouterr().err
    assert "the kernel died" in printed
    assert "os.kill(os.getpid(), 9)" in printed
    assert (toy / "figures" / "01_good.txt").exists()


def test_a_worker_that_dies_is_reported_and_the_others_run_again(toy, capsys):
    # the kernel's parent is the worker process, which is not the process of this test
    write_notebook(
        toy / "notebooks", "02_kills", f"import os\nassert os.getppid() != {os.getpid()}",
        "os.kill(os.getppid(), 9)\nimport time\ntime.sleep(60)",
    )  # fmt: skip
    write_notebook(toy / "notebooks", "03_slow", "import time\ntime.sleep(1)", touch("03_slow.txt"))
    report = reproduce(root=toy, jobs=2)
    assert [outcome.name for outcome in report.failed] == ["02_kills"]
    printed = capsys.readouterr().err
    assert "its process died" in printed
    assert "os.kill(os.getppid(), 9)" in printed
    assert {path.name for path in (toy / "figures").iterdir()} == {"01_good.txt", "03_slow.txt"}


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGKILL"])
def test_nothing_goes_on_after_an_interrupt(toy, signal_name):
    told = toy / "told.txt"
    write_notebook(
        toy / "notebooks",
        "02_waits",
        f"import os, pathlib\npathlib.Path({str(told)!r}).write_text(f'{{os.getpid()}}\\n')",
        "import time\ntime.sleep(60)",
    )
    code = f"from ot_latent.paper.reproduce import reproduce; reproduce(['2'], root={str(toy)!r})"
    command = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    wait_until(lambda: told.exists() and told.read_text().endswith("\n"))
    kernel = int(told.read_text())
    worker = psutil.Process(kernel).parent()

    # a terminal sends Ctrl-C to the whole group; a kill hits the command alone
    target = -command.pid if signal_name == "SIGINT" else command.pid
    os.kill(target, getattr(signal, signal_name))

    command.wait(timeout=30)
    wait_until(lambda: not psutil.pid_exists(kernel) and not worker.is_running())


def test_any_executor_will_do(toy, capsys):
    with ThreadPoolExecutor(1) as executor:
        assert int(reproduce(root=toy, executor=executor)) == 0
    assert "01_good  done" in capsys.readouterr().err


def test_parameters_reach_the_notebook(toy, tmp_path):
    write_notebook(
        toy / "notebooks",
        "02_parameters",
        "given = (scale, seed, train, device, data_dir, figures_dir)",
        f"assert given == ('smoke', 7, True, 'cpu', {str(tmp_path)!r}, {str(tmp_path / 'f')!r}), given",
    )
    report = reproduce(
        ["02_parameters"],
        root=toy,
        scale="smoke",
        seed=7,
        train=True,
        device="cpu",
        data_dir=tmp_path,
        figures_dir=tmp_path / "f",
    )
    assert report.failed == ()


@pytest.mark.parametrize(
    ("settings", "folder"),
    [
        ({}, "figures"),
        ({"scale": "smoke"}, "build/figures-smoke"),
        ({"train": True}, "build/figures-quick"),
        ({"seed": 1}, "build/figures-quick"),
    ],
)
def test_only_the_committed_setting_writes_the_committed_figures(toy, settings, folder):
    assert int(reproduce(root=toy, **settings)) == 0
    written = [path.parent for path in toy.rglob("01_good.txt")]
    assert written == [toy / folder]


def test_a_notebook_without_a_parameter_is_refused(toy, capsys):
    write_notebook(toy / "notebooks", "02_lacks", "1", parameters='scale = "quick"')
    assert [outcome.name for outcome in reproduce(root=toy).failed] == ["02_lacks"]
    assert "no parameters data_dir, device, figures_dir, seed, train" in capsys.readouterr().err


def test_kernels_get_their_share_of_the_threads(toy, monkeypatch):
    before = dict(os.environ)
    monkeypatch.setattr("ot_latent.paper.reproduce.cores", lambda: 6)
    assert kernel_says(toy, "__import__('os').environ['OMP_NUM_THREADS']", jobs=2) == "3"
    assert kernel_says(toy, "__import__('os').environ['MKL_NUM_THREADS']", jobs=7) == "1"
    assert dict(os.environ) == before


def test_figures_are_inline_whatever_the_environment_says(toy, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    assert kernel_says(toy, "'Agg' in str(__import__('os').environ.get('MPLBACKEND'))") == "False"
    assert os.environ["MPLBACKEND"] == "Agg"


def test_progress_in_a_log_is_a_few_plain_lines(toy, capsys):
    write_notebook(toy / "notebooks", "02_slow", "import time\ntime.sleep(2)")
    reproduce(["02_slow"], root=toy)
    lines = capsys.readouterr().err.splitlines()
    *cells, last = [line.split("  ")[:2] for line in lines]
    assert last == ["02_slow", "done"]
    # one line every two seconds: which cell it catches depends on the machine
    assert 1 <= len(cells) <= 3
    assert all(name == "02_slow" and re.fullmatch("cell [123] of 3", at) for name, at in cells)


def test_progress_on_a_terminal_keeps_to_one_line_per_notebook(toy, monkeypatch):
    write_notebook(toy / "notebooks", "02_more", "1")
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", terminal)
    reproduce(root=toy, jobs=1)
    written = terminal.getvalue()
    assert "02_more  waits" in written
    assert "02_more  done" in written
    assert "\x1b[A" in written  # the cursor goes up again
    # each line is left once, at the end
    assert written.rstrip().splitlines()[-1].startswith("02_more  done")


def test_results_are_rendered_and_printed_last(toy, capsys):
    results = "import json, pathlib\npathlib.Path(figures_dir, 'results.json').write_text('{}')"
    write_notebook(toy / "notebooks", "02_results", results)
    assert int(reproduce(root=toy)) == 0
    table = (toy / "figures" / "RESULTS.md").read_text()
    assert table.startswith("#")
    assert capsys.readouterr().out.strip() == table.strip()
    assert json.loads((toy / "figures" / "results.json").read_text()) == {}


@pytest.mark.parametrize("name", ["1", "01", "01_good", "01_good.ipynb", "notebooks/01_good.ipynb"])
def test_names_of_a_notebook(toy, name, monkeypatch):
    monkeypatch.chdir(toy)
    assert select_notebooks([name, "01"], toy / "notebooks") == [toy / "notebooks/01_good.ipynb"]


@pytest.mark.parametrize("name", ["7", "good", "elsewhere/01_good.ipynb", ""])
def test_an_unknown_notebook_lists_those_that_exist(toy, name, monkeypatch):
    monkeypatch.chdir(toy)
    with pytest.raises(ValueError, match=f"no notebook {name!r}; there are: 01_good"):
        reproduce([name], root=toy)


def test_a_folder_without_notebooks_is_named(tmp_path):
    with pytest.raises(ValueError, match="no notebooks in"):
        reproduce(root=tmp_path)
