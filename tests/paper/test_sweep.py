"""Sweeps over seeds: what runs, what is counted, what is written. No kernel starts: jobs record at once."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_reproduce import new_toy, write_notebook

from ot_latent.cli import main
from ot_latent.paper import ledger
from ot_latent.paper.batch.jobs import Outcome
from ot_latent.paper.claims import claims
from ot_latent.paper.sweep import render_sweep, sweep

CLAIM = claims().find("appendixA.support.gaussian")  # interval below 0.05


@pytest.fixture
def toy(tmp_path):
    root = new_toy(tmp_path)
    write_notebook(root / "notebooks", "00_start_here", "1")
    return root


@pytest.fixture
def ran(monkeypatch):
    """Parameters of the runs that were executed; the claim holds but for seed 1, and seed 2 fails."""

    def fake(job):
        given = job.parameters
        ran.append(given)
        if given["seed"] == 2:
            return Outcome(job.name, 0.0, "cell 3 of 4\n\x1b[31mAssertionError\x1b[0m: on purpose")
        row = ledger.judge(CLAIM, 0.01 + 0.05 * given["seed"], note="with this seed")
        section = {"scale": given["scale"], "seed": given["seed"], "rows": {CLAIM.key: row}}
        ledger.write_results(Path(given["figures_dir"]), job.source.stem, section)
        job.target.write_text("executed", encoding="utf-8")
        job.note()
        return Outcome(job.name, 0.0)

    ran = []
    monkeypatch.setattr("ot_latent.paper.batch.execution.execute_job", fake)
    return ran


@pytest.fixture
def sweep_of(toy, ran):
    """A call of `sweep`: its report, and the seeds that ran."""

    def call(notebooks=None, **settings):
        ran.clear()
        with ThreadPoolExecutor(1) as executor:
            report = sweep(notebooks, root=toy, executor=executor, **({"seeds": range(3)} | settings))
        return report, [given["seed"] for given in ran]

    return call


def test_a_table_and_a_picture_of_every_claim(toy, sweep_of, capsys):
    report, seeds = sweep_of()
    assert seeds == [0, 1, 2] and [outcome.name for outcome in report.failed] == ["01_good-seed-2"]
    folder = toy / "build" / "sweep-quick"
    found = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
    claim = {"values": [0.01, 0.06, None], "held": [True, False, False]}
    assert found == {
        "01_good": {
            "scale": "quick",
            "seeds": [0, 1, 2],
            "failed": {"2": "AssertionError: on purpose"},
            "claims": {CLAIM.key: claim},
        }
    }
    table = (folder / "SWEEP.md").read_text(encoding="utf-8")
    assert table in capsys.readouterr().out
    assert "| 0.035 | 0.01 to 0.06 | 0.03536 | interval below 0.05 | 1 of 3 seeds |" in " ".join(table.split())
    assert "Seed 2 failed: AssertionError: on purpose." in table
    assert (folder / "sweep.png").stat().st_size > 1000
    assert {path.name for path in (folder / "01_good-seed-1").iterdir()} >= {"01_good.ipynb", "results.json"}


def test_only_what_is_missing_or_changed_runs(toy, sweep_of):
    assert sweep_of()[1] == [0, 1, 2]
    assert sweep_of()[1] == [2]  # which failed
    assert sweep_of(seeds=range(5))[1] == [2, 3, 4]
    (toy / "build" / "sweep-quick" / "01_good-seed-3" / "results.json").unlink()
    assert sweep_of(seeds=range(5))[1] == [2, 3]
    assert sweep_of(seeds=[0, 1], force=True)[1] == [0, 1]
    write_notebook(toy / "notebooks", "01_good", "1")
    assert sweep_of(seeds=[0, 1])[1] == [0, 1]


def test_combinations_of_parameters_stand_apart(toy, sweep_of, ran):
    sweep_of(parameters={"device": ["cpu", "auto"], "width": [4]}, seeds=[0])
    assert [(given["device"], given["width"], given["seed"]) for given in ran] == [("cpu", 4, 0), ("auto", 4, 0)]
    out = toy / "figures" / "sweep"
    sweep_of(parameters={"device": ["cpu", "auto"], "width": [4]}, seeds=[0], out=out)
    assert sweep_of(seeds=[0], out=out)[1] == [0]
    found = json.loads((out / "sweep.json").read_text(encoding="utf-8"))
    assert list(found) == ["01_good device=cpu width=4", "01_good device=auto width=4", "01_good"]
    assert ledger.read_seeds(out.parent) == {CLAIM.key: "holds in 1 of 1 seeds"}
    with pytest.raises(ValueError, match="parameters must not name seed: the sweep sets it"):
        sweep_of(parameters={"seed": [1]})


@pytest.mark.parametrize("seeds", [[], [-1], [True], ["0"]])
def test_seeds_that_are_none_are_refused(sweep_of, seeds):
    with pytest.raises(ValueError, match="seeds must be integers >= 0, at least one"):
        sweep_of(seeds=seeds)


def test_a_damaged_table_stops_it_before_the_work(toy, sweep_of):
    folder = toy / "build" / "sweep-quick"
    folder.mkdir(parents=True)
    (folder / "sweep.json").write_text('{"01_good": 3}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"sweep.json is damaged .*Remedy: remove it"):
        sweep_of()


def test_the_command_reads_seeds_and_values(monkeypatch):
    def fake(notebooks, **settings):
        given.append((notebooks, settings["seeds"], settings["parameters"]))
        return 0

    given = []
    monkeypatch.setattr("ot_latent.paper.sweep.sweep", fake)
    arguments = ["sweep", "01", "--seeds", "2:4", "-p", "rate=1e-3,fast", "-p", "train=true"]
    for command in (arguments, ["sweep", "--seeds", "0,3,7"]):
        assert CliRunner().invoke(main, command).exit_code == 0
    assert given == [(("01",), [2, 3], {"rate": [0.001, "fast"], "train": [True]}), ((), [0, 3, 7], {})]
    for wrong, message in ((["--seeds", "a:b"], "FIRST:END"), (["-p", "x"], "NAME=VALUE")):
        assert message in CliRunner().invoke(main, ["sweep", *wrong]).output


def test_the_committed_table_is_that_of_its_values(root):
    folder = root / "figures" / "sweep"
    found = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
    assert (folder / "SWEEP.md").read_text(encoding="utf-8") == render_sweep(found)
    counts = [len(claim["held"]) for group in found.values() for claim in group["claims"].values()]
    assert len(counts) >= 14 and min(counts) >= 14
