"""`reproduce` on a small checkout of its own: failures, dying kernels and workers, seams."""

import contextlib
import io
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from ot_latent.paper.batch.jobs import Outcome
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
    return f"import pathlib\npathlib.Path(figures_dir, {name!r}).write_text(scale, encoding='utf-8')"


def new_toy(folder):
    """A checkout, in a path with a space and braces, with one good notebook."""
    root = folder / "a {1} checkout"
    (root / "notebooks").mkdir(parents=True)
    write_notebook(root / "notebooks", "01_good", touch("01_good.txt"))
    return root


@pytest.fixture
def toy(tmp_path):
    return new_toy(tmp_path)


@pytest.fixture
def no_kernels(monkeypatch):
    """Jobs leave a file in their folder of figures, and no kernel starts."""

    def fake(job):
        done.append(job)
        with open(os.path.join(job.parameters["figures_dir"], "done.txt"), "w", encoding="utf-8") as file:
            file.write(job.name)
        job.target.write_text("executed", encoding="utf-8")
        job.note()
        return Outcome(job.name, 0.0)

    done = []
    monkeypatch.setattr("ot_latent.paper.batch.execution.execute_job", fake)
    return done


@pytest.fixture
def thread():
    """An executor without processes, which need seconds to start."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


def wait_until(condition, seconds=30):
    """Return when the condition holds; fail after so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def executed(root, name):
    return nbformat.read(root / "build" / "notebooks" / f"{name}.ipynb", as_version=4)


SAID = "OMP_NUM_THREADS", "MKL_NUM_THREADS", "MPLBACKEND", "OT_LATENT_KEEP", "FOREIGN"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One run of all notebooks of a checkout, and what it printed: some end well, the others each in another way.

    The environment asks for another backend of figures, and for a kernel python3 of another Python.
    """
    root = new_toy(tmp_path_factory.mktemp("whole"))
    kernel = root / "kernels" / "python3"
    kernel.mkdir(parents=True)
    foreign = ["env", "FOREIGN=1", sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": foreign, "display_name": "Python 3", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    results = "import json, pathlib\npathlib.Path(figures_dir, 'results.json').write_text('{}', encoding='utf-8')"
    says = f"import os, sys\nprint(*[os.environ.get(name) for name in {SAID}], sys.executable, sep='\\n')"
    folder = root / "notebooks"
    write_notebook(folder, "00_start_here", "import os\nassert os.path.exists(f'{figures_dir}/03_good.txt')", results)
    write_notebook(folder, "01_good-Copy1", touch("copy.txt"))
    write_notebook(folder, "01_mine", f'run = otl.Run("01_good", {touch("copy.txt")!r})')
    write_notebook(folder, "02_broken", "x = 1", "x / 0  # on purpose")
    write_notebook(folder, "03_good", touch("03_good.txt"))
    write_notebook(folder, "04_dies", "import os\nos.kill(os.getpid(), 9)")
    write_notebook(folder, "05_lacks", "1", parameters='scale = "quick"')
    write_notebook(folder, "06_says", says)
    write_notebook(folder, "07_exits", "import sys\nsys.exit(0)", touch("07_exits.txt"))
    write_notebook(folder, "08_prints", "while True: print('x' * 100_000)")
    before, out, err = contents(folder), io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setenv("MPLBACKEND", "Agg")
        patch.setenv("JUPYTER_PATH", str(root))
        patch.setattr("ot_latent.paper.batch.execution.cores", lambda: 6)
        environment = dict(os.environ)
        report = reproduce(root=root, jobs=2)
        assert dict(os.environ) == environment
    assert contents(folder) == before
    return SimpleNamespace(root=root, report=report, out=out.getvalue(), err=err.getvalue())


def test_what_fails_is_reported_and_the_others_finish(whole):
    assert int(whole.report) == 1
    names = ["02_broken", "04_dies", "05_lacks", "07_exits", "08_prints"]
    assert [outcome.name for outcome in whole.report.failed] == names
    broken, dies, lacks, exits, prints = (whole.err.partition(f"{name} failed: ")[2] for name in names)
    assert broken.startswith("cell 4 of 4")  # papermill adds a cell with our parameters
    assert "x / 0  # on purpose" in broken and "ZeroDivisionError: division by zero" in broken
    log = whole.root / "build" / "notebooks" / "04_dies.log"
    assert dies.startswith(f"the kernel died (killed, or out of memory; see {log})") and log.is_file()
    assert "os.kill(os.getpid(), 9)" in dies
    assert lacks.startswith("it has no parameters data_dir, device, figures_dir, seed, train")
    assert exits.startswith("it called sys.exit, and what follows did not run, in cell 3 of 4") and "(0)" in exits
    assert prints.startswith("it printed more than 10,000,000 characters, in cell 3 of 3") and "while True" in prints
    assert sum(path.stat().st_size for path in (whole.root / "build").rglob("*") if path.is_file()) < 20_000_000


def test_copies_are_left_out_and_named(whole):
    assert "Left out, as copies or drafts: 01_good-Copy1, 01_mine\n" in whole.err
    written = {path.name for path in (whole.root / "figures").iterdir()}
    assert written == {"01_good.txt", "03_good.txt", "results.json", "RESULTS.md"}


def test_kernels_run_in_this_python_with_their_share_of_the_threads(whole):
    said = executed(whole.root, "06_says").cells[-1].outputs[0].text.split()
    # figures are inline whatever the environment says; what is written is to be kept
    assert said[:2] == ["3", "3"] and said[2] != "Agg" and said[3:] == ["1", "None", sys.executable]


def test_results_are_rendered_and_printed_last(whole):
    table = (whole.root / "figures" / "RESULTS.md").read_text(encoding="utf-8")
    assert table.startswith("#")
    assert whole.out.strip() == table.strip()
    assert json.loads((whole.root / "figures" / "results.json").read_text(encoding="utf-8")) == {}


def test_progress_in_a_log_is_a_few_plain_lines(whole):
    lines = whole.err.partition("\n---")[0].splitlines()[1:]
    assert all(re.fullmatch(r"0\d_\w+ +(cell \d of \d|done|FAILED)  \d:\d\d", line) for line in lines)
    ends = sorted(line.split()[0] for line in lines if "cell" not in line)
    assert ends == sorted(outcome.name for outcome in whole.report.outcomes)
    assert lines[-1].split()[:2] == ["00_start_here", "done"]  # which reads the others' results
    shown = {}
    for name, *_, clock in (line.split() for line in lines if "cell" in line):
        minutes, seconds = map(int, clock.split(":"))
        shown.setdefault(name, []).append(60 * minutes + seconds)
    waits = [later - earlier for times in shown.values() for earlier, later in itertools.pairwise(times)]
    assert shown and all(wait >= 14 for wait in waits)  # not every cell: one line in fifteen seconds, cut to whole ones


def test_a_second_run_changes_nothing(whole, thread, capsys):
    before = contents(whole.root / "notebooks") | contents(whole.root / "figures")
    assert int(reproduce(["1", "0"], root=whole.root, executor=thread)) == 0
    assert contents(whole.root / "notebooks") | contents(whole.root / "figures") == before
    ends = [line.split()[:2] for line in capsys.readouterr().err.splitlines() if "cell" not in line]
    assert ["01_good", "unchanged"] in ends and ["00_start_here", "done"] in ends  # which shows what others found


@pytest.fixture
def ran(toy, no_kernels, thread, monkeypatch):
    """Names of the notebooks that a call of `reproduce` executes; the first has been."""

    def ran(**settings):
        del no_kernels[:]
        reproduce(root=toy, executor=thread, **settings)
        return [job.name for job in no_kernels]

    data = toy / "data" / "celeba"
    (data / "img_align_celeba").mkdir(parents=True)
    monkeypatch.setenv("OT_LATENT_DATA", str(toy / "data"))
    assert ran() == ["01_good"] and ran() == []
    return ran


def test_what_is_done_is_not_done_again(toy, ran, monkeypatch):
    assert ran(force=True) == ["01_good"] and ran() == []
    assert ran(seed=1) == ["01_good"] and ran(seed=1) == []
    executed = toy / "build" / "notebooks" / "01_good.ipynb"
    assert ran() == ["01_good"] and ran() == []  # the folder holds one executed copy
    executed.unlink()
    assert ran() == ["01_good"]
    write_notebook(toy / "notebooks", "01_good", "1")
    assert ran() == ["01_good"] and ran() == []
    (toy / "figures" / "01_a.png").write_bytes(b"another picture, of another commit")
    assert ran() == ["01_good"] and ran() == []
    monkeypatch.setattr("ot_latent.paper.batch.keys._COMPUTE", ("pytest",))
    assert ran() == ["01_good"]
    with open(executed.with_suffix(".json"), "w", encoding="utf-8") as record:
        record.write('{"key')
    assert ran() == ["01_good"] and ran() == []


def test_another_data_set_is_another_run(toy, ran):
    os.utime(toy / "data" / "celeba" / "img_align_celeba", (0, 0))
    assert ran() == ["01_good"] and ran() == []


def test_a_library_that_changes_meanwhile_is_noticed(toy, thread, monkeypatch):
    told = iter([{"numpy": "1", "python": "3"}, {"numpy": "2", "python": "3"}])
    monkeypatch.setattr("ot_latent.paper.batch.keys.versions", lambda: next(told))
    (outcome,) = reproduce(root=toy, executor=thread).failed
    assert re.fullmatch(r"since the start, or on .*, versions are others: numpy 2, here 1", outcome.error)


def test_a_worker_that_dies_is_reported_and_the_others_run_again(toy, capsys):
    # the kernel's parent is the worker process, which is not the process of this test
    write_notebook(
        toy / "notebooks", "02_kills", f"import os\nassert os.getppid() != {os.getpid()}",
        "os.kill(os.getppid(), 9)\nimport time\ntime.sleep(60)",
    )  # fmt: skip
    write_notebook(toy / "notebooks", "03_slow", "import time\ntime.sleep(1)", touch("03_slow.txt"))
    report = reproduce(["2", "3"], root=toy, jobs=2)
    assert [outcome.name for outcome in report.failed] == ["02_kills"]
    printed = capsys.readouterr().err
    assert "its process died" in printed
    assert "os.kill(os.getppid(), 9)" in printed and "__main__" not in printed
    assert {path.name for path in (toy / "figures").iterdir()} == {"03_slow.txt"}


def test_nothing_goes_on_after_an_interrupt_and_nothing_is_left(tmp_path, no_kernels, thread):
    def start(name):
        root = new_toy(tmp_path / name)
        told = root / "told.txt"
        tell = f"pathlib.Path({str(told)!r}).write_text(f'{{os.getpid()}}\\n', encoding='utf-8')"
        write_notebook(root / "notebooks", "02_waits", f"import os, pathlib, time\n{tell}", "time.sleep(60)")
        code = f"from ot_latent.paper.reproduce import reproduce; reproduce(['2'], root={str(root)!r})"
        return root, told, subprocess.Popen([sys.executable, "-c", code], start_new_session=True)

    runs = {"SIGINT": start("interrupted"), "SIGKILL": start("killed")}
    for name, (_, told, command) in runs.items():
        wait_until(lambda: told.exists() and told.read_text(encoding="utf-8").endswith("\n"))  # noqa: B023
        kernel = psutil.Process(int(told.read_text(encoding="utf-8")))
        worker = kernel.parent()
        # a terminal sends Ctrl-C to the whole group; a kill hits the command alone
        os.kill(-command.pid if name == "SIGINT" else command.pid, getattr(signal, name))
        command.wait(timeout=30)
        wait_until(lambda: not kernel.is_running() and not worker.is_running())  # noqa: B023
    root = runs["SIGKILL"][0]
    assert len(list((root / "build").glob("progress-*"))) == 1
    assert int(reproduce(["1"], root=root, executor=thread)) == 0
    assert list((root / "build").glob("progress-*")) == []


def test_runs_of_one_notebook_at_once_do_not_meet(toy):
    write_notebook(toy / "notebooks", "02_slow", "import time\ntime.sleep(1)", "print(seed)")

    def run(seed):
        with ThreadPoolExecutor(1) as executor:
            return int(reproduce(["2"], root=toy, seed=seed, executor=executor))

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(run, range(3))) == [0, 0, 0]
    notebook = executed(toy, "02_slow")
    nbformat.validate(notebook)
    assert notebook.cells[-1].outputs[0].text in {"0\n", "1\n", "2\n"}
    assert list((toy / "build").glob("progress-*")) == []


def test_a_script_without_a_main_guard_is_told_so(toy, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"from ot_latent.paper.reproduce import reproduce\nreproduce(['1'], root={str(toy)!r})", encoding="utf-8"
    )
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, encoding="utf-8")
    assert 'a script calls reproduce below `if __name__ == "__main__":`' in result.stderr


def test_a_kernel_that_does_not_answer_is_given_longer_on_request(toy, thread, monkeypatch):
    sleep = "import sys, time\nif 'ipykernel_launcher' in sys.orig_argv: time.sleep(4)"
    (toy / "sitecustomize.py").write_text(sleep, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(toy))
    (outcome,) = reproduce(root=toy, executor=thread, start_timeout=1).failed
    assert "Kernel didn't respond in 1 seconds" in outcome.error and "--start-timeout" in outcome.error
    assert reproduce(root=toy, executor=thread, start_timeout=60).failed == ()


def test_parameters_reach_the_notebook(toy, tmp_path, thread, capsys):
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
        executor=thread,
    )
    assert report.failed == ()
    assert "02_parameters  done" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "folder"),
    [
        ({}, "figures"),
        ({"scale": "smoke"}, "build/figures-smoke"),
        ({"train": True}, "build/figures-quick"),
        ({"seed": 1}, "build/figures-quick"),
    ],
)
def test_only_the_committed_setting_writes_the_committed_figures(toy, settings, folder, no_kernels, thread):
    assert int(reproduce(root=toy, executor=thread, **settings)) == 0
    assert [path.parent for path in toy.rglob("done.txt")] == [toy / folder]


def test_progress_on_a_terminal_keeps_to_one_line_per_notebook(toy, monkeypatch, no_kernels, thread):
    write_notebook(toy / "notebooks", "02_more", "1")
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", terminal)
    reproduce(root=toy, executor=thread)
    written = terminal.getvalue()
    assert "02_more  waits" in written
    assert "02_more  done" in written
    assert "\x1b[A" in written  # the cursor goes up again
    # each line is left once, at the end
    assert written.rstrip().splitlines()[-1].startswith("02_more  done")


def test_nobody_need_listen(toy, monkeypatch, no_kernels, thread):
    monkeypatch.setattr("sys.stderr", None)  # as in `reproduce 2>&-`
    assert int(reproduce(root=toy, executor=thread)) == 0


def test_a_damaged_record_stops_it_before_the_work(toy, no_kernels, thread):
    (toy / "figures").mkdir()
    (toy / "figures" / "results.json").write_text("<<<<<<< HEAD", encoding="utf-8")
    with pytest.raises(ValueError, match=r"results.json is damaged .*git checkout.*ot-latent reproduce"):
        reproduce(root=toy, executor=thread)
    assert no_kernels == []


@pytest.mark.parametrize("name", ["figures", "build"])
def test_what_cannot_be_written_is_named_before_the_work(toy, tmp_path, name, monkeypatch, no_kernels, thread):
    locked, free = tmp_path / "read-only", tmp_path / "free"
    locked.mkdir()
    access = os.access
    monkeypatch.setattr("os.access", lambda path, mode: path != locked and access(path, mode))
    folders = {"figures_dir": free, "build_dir": free} | {f"{name}_dir": locked / "new"}
    with pytest.raises(PermissionError, match=f"read-only/new cannot be written.*{name}_dir= or --{name}-dir"):
        reproduce(root=toy, executor=thread, **folders)
    assert no_kernels == []


def test_a_number_that_fits_two_notebooks_is_refused(toy):
    write_notebook(toy / "notebooks", "01_other", "1")
    with pytest.raises(ValueError, match="'1' is the number of several notebooks: 01_good, 01_other"):
        select_notebooks(["1"], toy / "notebooks")
    assert select_notebooks(["01_other"], toy / "notebooks") == [toy / "notebooks" / "01_other.ipynb"]


def test_a_copy_is_not_run_under_its_own_name_either(toy, capsys):
    write_notebook(toy / "notebooks", "01_good-Copy1", "1")
    with pytest.raises(ValueError, match="no notebook '01_good-Copy1'; there are: 01_good$"):
        select_notebooks(["01_good-Copy1"], toy / "notebooks")
    assert "Left out, as copies or drafts: 01_good-Copy1" in capsys.readouterr().err


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
