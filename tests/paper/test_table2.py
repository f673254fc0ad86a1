"""Table 2 with the shipped generators: what is kept belongs to the weights that are shipped."""

import dataclasses
import json

import pytest
from click.testing import CliRunner
from evaluation_toys import evaluate

from ot_latent.cli import main
from ot_latent.models import checkpoints
from ot_latent.paper import Run, table2
from ot_latent.paper.claims import claims
from ot_latent.scores import references
from ot_latent.scores.scorers import EFFICIENTNET_SHA256

TOY = table2.Setting(
    name="toy", title="toy", scorer="mnist-classifier", reference="mnist", column="cifar10", data="noise"
)


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """One generator that costs nothing, and a checkout of its own."""
    monkeypatch.setattr(table2, "checkout", lambda: tmp_path)
    monkeypatch.setattr("ot_latent._storage.checkout", lambda: tmp_path)
    monkeypatch.setattr(table2, "shipped", lambda: (TOY,))
    monkeypatch.setattr(checkpoints, "weights_hash", lambda name: f"hash of {name}")
    monkeypatch.setattr(table2, "evaluate", lambda toy, n, seed, *_, **__: evaluate(n=n, seed=seed))
    return tmp_path


def test_a_result_is_kept_with_the_command_that_made_it(toys):
    with pytest.raises(FileNotFoundError, match="ot-latent evaluate toy --keep"):
        table2.kept(TOY)
    found = evaluate(n=200, seed=3)
    record = json.loads(table2.keep(TOY, found).read_text(encoding="utf-8"))
    assert record["command"] == "ot-latent evaluate toy --n 200 --seed 3 --keep"
    assert table2.kept(TOY) == found


def test_a_result_of_other_weights_is_refused(toys, monkeypatch):
    table2.keep(TOY, evaluate(n=200))
    monkeypatch.setattr(checkpoints, "weights_hash", lambda name: "new")
    with pytest.raises(ValueError, match=r"toy.json is the result of other weights.*evaluate toy"):
        table2.kept(TOY)


@pytest.mark.parametrize("content", ["", "<<<<<<< HEAD", "[]", "{}", '{"weights": {}, "evaluation": {"rows": 3}}'])
def test_a_damaged_result_says_how_to_mend_it(toys, content):
    table2.keep(TOY, evaluate(n=200)).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"toy.json is damaged .*git checkout.*ot-latent evaluate toy --keep"):
        table2.kept(TOY)


def test_the_command_prints_and_keeps_only_what_it_is_told_to_keep(toys):
    table2.keep(TOY, evaluate(n=300))
    result = CliRunner().invoke(main, ["evaluate", "toy", "--n", "250", "--seed", "1"])
    assert result.exit_code == 0, result.output
    assert "2-point matched" in result.output
    assert table2.kept(TOY) == evaluate(n=300)
    assert CliRunner().invoke(main, ["evaluate", "toy", "--n", "250", "--seed", "1", "--keep"]).exit_code == 0
    assert table2.kept(TOY) == evaluate(n=250, seed=1)
    refused = CliRunner().invoke(main, ["evaluate", "tox"])
    assert refused.exit_code == 2
    assert "no generator tox; shipped are: toy" in refused.stderr


def test_a_shipped_decoder_is_evaluated_under_its_scorer():
    vae = dataclasses.replace(TOY, name="mnist-vae", title="VAE", column=None, data="MNIST")
    found = table2.evaluate(vae, n=200, operations=["2-point matched"])
    assert found.scorer.startswith("mnist-classifier")


def with_change(found, operation, relative, p_value):
    """The same evaluation with another change of one operation, known to a thousandth."""
    interval = relative - 0.001, relative + 0.001
    change = dataclasses.replace(found[operation].change, relative=relative, p_value=p_value, interval=interval)
    rows = (dataclasses.replace(row, change=change) if row.name == operation else row for row in found.rows)
    return dataclasses.replace(found, rows=tuple(rows))


def recorded(folder, rows, notebook="08_inception_scores"):
    """The rows of the ledger, by short key, once a notebook has recorded and shown them."""
    run = Run(notebook, "quick", 0, False, "cpu", None, str(folder))
    for row in rows:
        run.record(**row)
    run.table()
    return {key.partition(".")[2]: row for key, row in run.read_results()[notebook]["rows"].items()}


@pytest.mark.parametrize(
    ("data", "relative", "verdict"),
    [
        ("CIFAR-10, a part of it", -0.10, "reproduced in ratio"),  # the paper has 7.12 : 7.90
        ("CIFAR-10, a part of it", -0.02, "not reproduced"),
        ("noise", -0.10, "stand-in: holds"),
        ("noise", -0.02, "stand-in: fails"),
    ],
)
def test_numbers_compare_in_ratio_and_on_the_papers_data_only(tmp_path, data, relative, verdict):
    setting = dataclasses.replace(table2.SETTINGS[0], data=data)
    found = with_change(evaluate(n=400), "2-point linear", relative, 1e-9)
    rows = recorded(tmp_path, table2.numbers(setting, found))
    assert rows["table2.cifar10.linear2"]["verdict"] == verdict
    percent = rows["table2.cifar10.linear2.percent"]
    assert percent["ours"] == pytest.approx(100 * relative) and percent["paper"] == [-10, 0.5]
    assert percent["verdict"] == verdict.replace(" in ratio", "")
    random = rows["table2.cifar10.random"]
    assert random["verdict"] == "not decided"
    low, high = random["interval"]
    assert low < random["ours"] < high
    assert all("under toy" in row["note"] and row["data"] == data for row in rows.values())


@pytest.mark.parametrize(
    ("operation", "relative", "linear", "matched"),
    [
        (None, 0, True, True),
        ("4-point linear", -0.002, True, True),
        ("4-point linear", -0.0005, False, True),
        ("4-point linear", 0.2, False, True),
        ("2-point matched", -0.0205, True, False),
        ("2-point matched", 0.0205, True, False),
        ("2-point matched", 0.0185, True, True),
    ],
)
def test_claims_about_all_settings_are_those_of_the_worst(tmp_path, operation, relative, linear, matched):
    found = evaluate(n=40_000, batch=5_000)
    changed = with_change(found, operation, relative, 0.5) if operation else found
    rows = recorded(tmp_path, table2.in_all_settings({"first": found, "second": changed}))
    assert [rows[f"table2.{how}"]["verdict"] for how in ("linear", "matched")] == [
        f"stand-in: {'holds' if linear else 'fails'}",
        f"by construction: {'holds' if matched else 'fails'}",
    ]
    assert all(row["data"] == "2 generators: first; second" for row in rows.values())
    if operation:
        how = operation.split()[1]
        assert ("worst of 4: second" in rows[f"table2.{how}"]["note"]) == (abs(relative) > 0.001 or how == "linear")


@pytest.mark.parametrize("entry", table2.SETTINGS, ids=lambda entry: entry.name)
def test_every_entry_has_its_claims_and_its_reference(entry, tmp_path):
    found = list(table2.numbers(entry, evaluate(n=400)))
    assert len(found) == (7 if entry.column else 0)
    if found:
        assert {row["item"] for row in recorded(tmp_path, found).values()} == {"agustsson2019/Table 2"}
    assert references.REFERENCES[entry.reference].scorer == entry.scorer


def test_every_column_has_its_generator():
    keys = {key.split(".")[2] for key in claims().entries if key.endswith(".linear2")}
    assert keys == {entry.column for entry in table2.SETTINGS if entry.column}


@pytest.mark.parametrize("entry", table2.shipped(), ids=lambda entry: entry.name)
def test_results_are_kept_of_the_shipped_weights(entry):
    found = table2.kept(entry)
    assert found.n >= 20_000
    assert [row.name for row in found.rows] == list(table2.OPERATIONS)


def test_generators_in_colour_are_also_kept_under_imagenet(toys, monkeypatch):
    monkeypatch.setattr(table2, "shipped", lambda: (TOY, dataclasses.replace(TOY, scorer="cifar10-classifier")))
    [setting] = table2.under_imagenet()
    asked = []
    monkeypatch.setattr(table2, "evaluate", lambda toy, n, seed, rows, **_: asked.append((toy, rows)) or evaluate(n=n))
    assert CliRunner().invoke(main, ["evaluate", "toy", "--imagenet", "--n", "250", "--keep"]).exit_code == 0
    assert asked == [(setting, tuple(table2.PAPER_ROWS))]
    assert table2.kept(setting) == evaluate(n=250)
    record = json.loads((toys / "data" / "evaluations" / "toy-imagenet.json").read_text(encoding="utf-8"))
    assert record["command"] == "ot-latent evaluate toy --imagenet --n 250 --seed 0 --keep"
    assert record["weights"]["efficientnet-lite0"] == EFFICIENTNET_SHA256
    with pytest.raises(FileNotFoundError, match="ot-latent evaluate toy --keep"):
        table2.kept(TOY)


@pytest.mark.parametrize("entry", table2.under_imagenet(), ids=lambda entry: entry.name)
def test_results_under_imagenet_are_kept_of_the_shipped_weights(entry):
    found = table2.kept(entry)
    assert "ImageNet" in found.scorer
    assert [row.name for row in found.rows] == list(table2.PAPER_ROWS)
