"""A notebook refuses wrong parameters before it computes anything, and records its claims once."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pytest

from ot_latent import Run
from ot_latent._storage import checkout
from ot_latent.paper.figures import image_grid

GOOD = {
    "scale": "smoke",
    "seed": 0,
    "train": False,
    "device": "auto",
    "data_dir": None,
    "figures_dir": "../build/figures-test",
}


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"scale": "fast"}, ValueError),
        ({"seed": -1}, TypeError),
        ({"seed": True}, TypeError),
        ({"seed": "1e-3"}, TypeError),
        ({"train": "yes"}, TypeError),
        ({"device": "gpu"}, ValueError),
        ({"data_dir": 3}, TypeError),
        ({"figures_dir": None}, TypeError),
    ],
)
def test_wrong_parameters_are_named(wrong, error):
    with pytest.raises(error, match=next(iter(wrong))):
        Run("04_perturbation_table", **{**GOOD, **wrong})


def test_a_wrong_name_is_refused():
    with pytest.raises(ValueError, match="04_perturbation_table"):
        Run("perturbation", **GOOD)


def test_parameters_may_stand_in_one_line():
    run = Run("04_x", *GOOD.values())
    assert (run.scale, run.seed, run.train, run.device_request, run.data_dir) == ("smoke", 0, False, "auto", None)


def test_paths_do_not_depend_on_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Run("04_x", **GOOD).figures_dir == checkout() / "build" / "figures-test"


def test_what_is_committed_is_read_but_written_only_to_be_kept(tmp_path, monkeypatch, capsys):
    (tmp_path / "figures").mkdir()
    committed = tmp_path / "figures" / "results.json"
    committed.write_text('{"03_x": {"scale": "quick", "seed": 0, "rows": {}}}', encoding="utf-8")
    before = committed.read_bytes()
    monkeypatch.setattr("ot_latent.paper.run.checkout", lambda: tmp_path)
    monkeypatch.delenv("OT_LATENT_KEEP", raising=False)

    def play(folder="../figures"):
        run = run_in(folder)
        run.record("table3.gaussian100.l2", 0.2463)
        run.table()
        run.save(plt.figure(), "x")
        plt.close("all")
        return run

    run = play()
    assert capsys.readouterr().out.count("build/figures") == 1
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["results.json"]
    assert committed.read_bytes() == before and list(run.read_results()) == ["03_x"]
    assert {"results.json", "04_x.png"} <= {path.name for path in (tmp_path / "build" / "figures").iterdir()}
    assert "04_perturbation_table" in play("../elsewhere").read_results()
    assert capsys.readouterr().out == ""

    monkeypatch.setenv("OT_LATENT_KEEP", "1")
    assert list(play().read_results()) == ["03_x", "04_perturbation_table"]
    assert (tmp_path / "figures" / "04_x.png").exists()


def test_a_folder_that_cannot_be_written_is_named_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    with pytest.raises(PermissionError, match="new/figures cannot be written.*set figures_dir"):
        run_in(tmp_path / "new" / "figures")


def test_streams_repeat_and_differ():
    run = Run("04_x", **GOOD)
    first = run.rng(1).random(3)
    np.testing.assert_array_equal(first, run.rng(1).random(3))
    assert (first != run.rng(2).random(3)).any()
    assert run.at(smoke=1, quick=2, paper=3) == 1


def test_a_figure_is_saved_twice_with_the_same_bytes(tmp_path):
    run = Run("04_x", **{**GOOD, "figures_dir": str(tmp_path)})
    fig, ax = plt.subplots()
    image_grid(ax, np.linspace(0, 1, 8 * 3 * 4 * 4).reshape(8, 3, 4, 4), columns=4)
    run.save(fig, "grid")
    before = (tmp_path / "04_grid.png").read_bytes()
    run.save(fig, "grid")
    assert (tmp_path / "04_grid.png").read_bytes() == before
    assert b"Matplotlib" not in before
    plt.close(fig)


def run_in(folder, scale="quick", name="04_perturbation_table"):
    return Run(name, **{**GOOD, "scale": scale, "figures_dir": str(folder)})


def test_what_was_recorded_is_written_when_it_is_shown(tmp_path):
    run = run_in(tmp_path)
    assert run.read_results() == {}
    assert run.record("table3.gaussian100.l2", 0.24645, (0.245638, 0.247263), note="simulated") is None
    run.record("fig1.uniform.matched", np.float32(0.0), p_value=np.float64(0.4))
    assert run.read_results() == {}
    table = run.table()
    section = run.read_results()["04_perturbation_table"]
    assert (section["scale"], section["seed"]) == ("quick", 0) and "python" in section["versions"]
    assert list(section["rows"]) == ["agustsson2019.fig1.uniform.matched", "agustsson2019.table3.gaussian100.l2"]
    assert [row["verdict"] for row in section["rows"].values()] == ["by construction: holds", "reproduced"]
    assert "simulated" in repr(table) and "| reproduced" in table._repr_markdown_()


def test_the_record_is_written_once(tmp_path):
    run, file = run_in(tmp_path), tmp_path / "results.json"
    run.record("table3.gaussian100.l2", 0.2463)
    run.table()
    file.unlink()
    run.table()
    assert not file.exists()
    run.record("table3.gaussian100.l1", 0.2460)
    run.table()
    assert len(json.loads(file.read_text(encoding="utf-8"))["04_perturbation_table"]["rows"]) == 2


def test_what_failed_needs_a_reason_but_at_smoke(tmp_path):
    with pytest.raises(ValueError, match="reason"):
        run_in(tmp_path).record("table3.gaussian100.l2", 0.3)
    run_in(tmp_path).record("table3.gaussian100.l2", 0.3, note="this happened")
    run = run_in(tmp_path, "smoke")
    run.record("table3.gaussian100.l2", 0.3)
    assert "too few samples" in repr(run.table())


def test_wrong_records_are_refused(tmp_path):
    run = run_in(tmp_path)
    with pytest.raises(ValueError, match="close ones: agustsson2019.table3.gaussian100.l2"):
        run.record("table3.gaussian100.l3", 0.2)
    with pytest.raises(ValueError, match="needs the quantities"):
        run.record("table3.gaussian100.l2", 0.2463, p=1)
    with pytest.raises(ValueError, match="nothing is recorded"):
        run.table()


def test_a_table_of_ones_own(tmp_path):
    run = run_in(tmp_path)
    table = run.table(("prior", "KS", "interval"), [(name, 0.123456, (0.1, 0.2)) for name in ("uniform", "Gaussian")])
    assert repr(table).splitlines() == [
        "prior     KS      interval",
        "uniform   0.1235  0.1 to 0.2",
        "Gaussian  0.1235  0.1 to 0.2",
    ]
    assert not (tmp_path / "results.json").exists()
    with pytest.raises(ValueError, match="columns and rows"):
        run.table(("prior",))
