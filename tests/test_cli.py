"""The command line: help with examples, and errors in one line."""

import errno
import itertools
import json
import os
import subprocess
import sys
import warnings

import pytest
from click.testing import CliRunner

from ot_latent import training
from ot_latent._arrays import progress
from ot_latent._loop import DivergenceError
from ot_latent._storage import StateWarning
from ot_latent.cli import main
from ot_latent.datasets import DATASETS, CorruptDataError, MissingDataError
from ot_latent.training.recipes import RECIPES


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def commands(command=main, path=()):
    """Every command line below `ot-latent`, as the words that call it."""
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))


def assert_one_clear_error(result, code, *parts):
    """It failed with that code, without a traceback, and says all the parts."""
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    for part in parts:
        assert part in result.stderr


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_help_shows_an_example_that_is_a_valid_command(path):
    result = run(*path, "--help")
    assert result.exit_code == 0
    example = result.output.split("Example:\n")[1].splitlines()[0].split()
    assert example[0] == "ot-latent"
    assert example[1 : 1 + len(path)] == list(path)
    # unknown commands and options are refused even beside --help
    assert run(*example[1:], "--help").exit_code == 0


def test_help_is_there_at_once():
    code = (
        "import sys; from click.testing import CliRunner; from ot_latent.cli import main;"
        "CliRunner().invoke(main, ['reproduce', '--help']);"
        "print([m for m in ('torch', 'matplotlib', 'papermill', 'scipy') if m in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert printed.stdout.strip() == "[]", printed.stderr


def test_reproduce_unknown_notebook_lists_those_that_exist():
    result = run("reproduce", "nonsense")
    assert_one_clear_error(result, 1, "no notebook 'nonsense'", "04_perturbation_table")


@pytest.mark.parametrize("option", [("--scale", "tiny"), ("--seed", "-1"), ("--jobs", "0"), ("--data-dir", "nowhere")])
def test_reproduce_refuses_bad_options(option):
    assert_one_clear_error(run("reproduce", *option), 2, option[0])


@pytest.mark.parametrize("command", [("reproduce",), ("train", "mnist-ae")])
def test_an_unknown_device_is_named_before_any_work(command):
    result = run(*command, "--device", "gpu")
    assert_one_clear_error(result, 2, "--device", "auto, cpu, cuda, cuda:N or mps", "'gpu'")


def test_reproduce_passes_its_options_on_and_its_report_out(monkeypatch, tmp_path):
    seen = {}

    def fake(notebooks, **settings):
        seen.update(settings, notebooks=notebooks)
        return 1

    monkeypatch.setattr("ot_latent.paper.reproduce.reproduce", fake)
    words = "reproduce 1 02 --scale smoke --seed 3 --train --jobs 4 --device cpu --start-timeout 90".split()
    words += ["--cluster", "local", "--force"]
    result = run(*words, "--data-dir", tmp_path, "--figures-dir", tmp_path / "new", "--build-dir", tmp_path / "made")
    assert result.exit_code == 1
    assert seen == {
        "notebooks": ("1", "02"),
        "scale": "smoke",
        "seed": 3,
        "train": True,
        "jobs": 4,
        "device": "cpu",
        "data_dir": tmp_path,
        "figures_dir": tmp_path / "new",
        "build_dir": tmp_path / "made",
        "start_timeout": 90,
        "cluster": "local",
        "force": True,
    }


def test_an_extra_that_is_not_installed_is_named():
    code = "import sys; sys.modules['papermill'] = None;from ot_latent.cli import main; main(['reproduce'])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr == ("Error: papermill is not installed. Remedy: pip install 'ot-latent[notebooks]'\n")


def test_train_lists_its_recipes_with_what_they_took(root):
    table, _, remark = run("train", "--list").stdout.partition("\n\n")
    header, *rows = table.splitlines()
    columns = [header.index(name) for name in ("minutes", "scale", "hardware", "network")]
    assert [row.split()[0] for row in rows] == sorted(RECIPES)
    for row, (name, recipe) in zip(rows, sorted(RECIPES.items()), strict=True):
        minutes, scale, hardware = (row[a:b].strip() for a, b in itertools.pairwise(columns))
        path = root / "data" / "checkpoints" / f"{name}.json"
        if path.is_file():
            card = json.loads(path.read_text(encoding="utf-8"))
            assert float(minutes) in (card.get("minutes"), card.get("minutes_of_the_last_run"))
            assert (scale, hardware) == (card["scale"], card["hardware"])
        else:
            assert (minutes, scale, hardware) == ("-", "-", "-")
        assert row[columns[-1] :] == recipe.summary
    assert "shipped weights" in remark


def test_listing_recipes_needs_no_torch():
    code = (
        "import sys; sys.modules['torch'] = sys.modules['accelerate'] = None;"
        "from ot_latent.cli import main; main(['train', '--list'])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0 and "mnist-ae" in result.stdout, result.stderr


@pytest.mark.parametrize("arguments", [("train",), ("train", "nonsense")])
def test_train_without_a_known_recipe_lists_those_that_exist(arguments):
    assert_one_clear_error(run(*arguments), 2, *RECIPES)


def test_train_passes_its_options_on_prints_paths_and_notes(monkeypatch, tmp_path):
    seen = {}
    name = next(iter(RECIPES))

    def fake(name, **settings):
        seen.update(settings, name=name)
        warnings.warn("the disk is full", StateWarning, stacklevel=2)
        return tmp_path / "weights"

    monkeypatch.setattr("ot_latent.training.train", fake)
    module = sys.modules[training.run_folder.__module__]
    monkeypatch.setattr(module, "checkout", lambda: tmp_path)
    options = ("--scale", "smoke", "--seed", 2, "--out", tmp_path, "--epochs", 3)
    result = run("train", name, *options, "--precision", "bfloat16")
    assert result.stdout.split() == [str(tmp_path / "weights")]
    assert result.stderr == "Note: the disk is full\n"
    assert seen == {
        "name": name,
        "scale": "smoke",
        "seed": 2,
        "device": "auto",
        "data_dir": None,
        "out": tmp_path,
        "epochs": 3,
        "precision": "bfloat16",
        "save_seconds": 60,
    }
    curves = tmp_path / "build" / "training" / f"{name}-smoke-2" / "losses.png"
    curves.parent.mkdir(parents=True)
    curves.touch()
    assert run("train", name, *options).stdout.split() == [str(tmp_path / "weights"), str(curves)]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("other settings"),
        OSError(errno.ENOSPC, "No space left on device", "weights"),
        PermissionError("figures cannot be written"),
        BlockingIOError("another process is at work"),
        DivergenceError("diverged at step 3"),
    ],
)
def test_what_stops_a_training_is_told_in_one_line(monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("ot_latent.training.train", fail)
    assert_one_clear_error(run("train", "mnist-ae"), 1, str(error))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_read_only_checkout_is_told_with_what_to_do(monkeypatch, number):
    def fail(*_, **__):
        raise OSError(number, "no", "/checkout/build")

    monkeypatch.setattr("ot_latent.training.train", fail)
    monkeypatch.setattr("ot_latent.paper.table2.evaluate", fail)
    for command in (("train", "mnist-ae"), ("evaluate", "mnist-dcgan-gaussian")):
        assert_one_clear_error(run(*command), 1, "/checkout/build", "work in a copy of the checkout")


@pytest.mark.parametrize(("options", "folder"), [((), "build"), (("--keep",), "data")])
def test_references_replace_those_that_are_committed_only_on_request(monkeypatch, root, options, folder):
    written = []
    monkeypatch.setattr("ot_latent.scores.references.measure", lambda *_: "moments")

    def save(name, moments, out=None):
        written.append((name, moments, out or root / "data" / "reference"))
        return written[-1][2]

    monkeypatch.setattr("ot_latent.scores.references.save", save)
    assert run("reference", "mnist", *options).exit_code == 0
    assert written == [("mnist", "moments", root / folder / "reference")]


def test_a_console_that_lacks_characters_gets_the_others(root):
    command = [sys.executable, "-m", "ot_latent.cli", "results", "--figures-dir", root / "figures"]
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}  # as on Windows
    result = subprocess.run(command, capture_output=True, env=environment)
    assert result.returncode == 0, result.stderr
    assert b"# Results" in result.stdout and b"?" in result.stdout


def test_nobody_need_read_what_it_prints(root, monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    monkeypatch.setenv("TQDM_DISABLE", "0")
    assert progress(range(3), "work").disable
    command = f"'{sys.executable}' -m ot_latent.cli results >&- 2>&-"
    assert subprocess.run(command, shell=True, cwd=root).returncode == 0


def test_data_list_tells_what_is_here(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = DATASETS["mnist"].files[0].name
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / file).touch()
    lines = run("data", "list", "--data-dir", tmp_path).stdout.splitlines()
    assert any(DATASETS["mnist"].summary in line for line in lines)
    assert f"  {file}  {tmp_path / 'mnist' / file}" in lines
    assert f"  {DATASETS['mnist'].files[1].name}  missing" in lines


def test_data_get_refuses_a_corrupt_file(tmp_path):
    (tmp_path / "mnist").mkdir()
    for file in DATASETS["mnist"].files:
        (tmp_path / "mnist" / file.name).write_bytes(b"not a digit")
    result = run("data", "get", "mnist", "--data-dir", tmp_path)
    assert_one_clear_error(result, 1, DATASETS["mnist"].files[0].md5)


@pytest.mark.parametrize("error", [MissingDataError, CorruptDataError])
def test_data_get_says_how_to_mend_it(monkeypatch, error):
    def fails(name, data_dir):
        raise error("put the file there")

    monkeypatch.setattr("ot_latent.datasets.get", fails)
    assert_one_clear_error(run("data", "get", "mnist"), 1, "Error: put the file there")


def test_data_get_unknown_lists_those_that_exist():
    assert_one_clear_error(run("data", "get", "nonsense"), 2, "nonsense", *DATASETS)


def test_results_prints_the_table(tmp_path):
    (tmp_path / "results.json").write_text("{}", encoding="utf-8")
    result = run("results", "--figures-dir", tmp_path)
    assert result.exit_code == 0
    assert result.stdout.startswith("#")


def test_results_before_any_says_what_makes_them(tmp_path):
    result = run("results", "--figures-dir", tmp_path)
    assert_one_clear_error(result, 1, str(tmp_path), "ot-latent reproduce")


def test_lab_opens_the_first_notebook(monkeypatch, root):
    opened = []
    monkeypatch.setattr("jupyterlab.labapp.main", opened.append)
    monkeypatch.setenv("JUPYTER_PATH", "/elsewhere")
    assert run("lab").exit_code == 0
    assert opened == [[str(root / "notebooks" / "00_start_here.ipynb")]]
    # whatever kernel is called python3 there
    assert os.environ["JUPYTER_PATH"].split(os.pathsep) == [os.path.join(sys.prefix, "share", "jupyter"), "/elsewhere"]


def test_it_runs_as_a_module():
    result = subprocess.run([sys.executable, "-m", "ot_latent.cli", "data", "list"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "mnist" in result.stdout
