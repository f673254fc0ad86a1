"""Table 2 with the shipped generators: what is kept belongs to the weights that are shipped."""

import json

import pytest
from click.testing import CliRunner
from evaluation_toys import evaluate

from ot_latent import checkpoints, references, table2
from ot_latent.cli import main
from ot_latent.published import PUBLISHED

TOY = table2.Setting("toy", "toy", "mnist-classifier", "mnist", "cifar10", "noise")


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """One generator that costs nothing, and a checkout of its own."""
    monkeypatch.setattr(table2, "checkout", lambda: tmp_path)
    monkeypatch.setattr("ot_latent.notebook.checkout", lambda: tmp_path)
    monkeypatch.setattr(table2, "shipped", lambda: (TOY,))
    monkeypatch.setattr(checkpoints, "weights_hash", lambda name: f"hash of {name}")
    monkeypatch.setattr(table2, "evaluate", lambda toy, n, seed, **_: evaluate(n=n, seed=seed))
    return tmp_path


def test_a_result_is_kept_with_the_command_that_made_it(toys):
    with pytest.raises(FileNotFoundError, match="ot-latent evaluate toy"):
        table2.kept(TOY)
    found = evaluate(n=200, seed=3)
    record = json.loads(table2.keep(TOY, found).read_text())
    assert record["command"] == "ot-latent evaluate toy --n 200 --seed 3"
    assert table2.kept(TOY) == found


def test_a_result_of_other_weights_is_refused(toys, monkeypatch):
    table2.keep(TOY, evaluate(n=200))
    monkeypatch.setattr(checkpoints, "weights_hash", lambda name: "new")
    with pytest.raises(ValueError, match=r"toy.json is the result of other weights.*evaluate toy"):
        table2.kept(TOY)


def test_the_command_prints_and_keeps(toys):
    result = CliRunner().invoke(main, ["evaluate", "toy", "--n", "250", "--seed", "1"])
    assert result.exit_code == 0, result.output
    assert "2-point matched" in result.output
    assert table2.kept(TOY) == evaluate(n=250, seed=1)
    refused = CliRunner().invoke(main, ["evaluate", "tox"])
    assert refused.exit_code == 2
    assert "no generator tox; shipped are: toy" in refused.stderr


def test_a_shipped_decoder_is_evaluated_under_its_scorer():
    vae = table2.Setting("mnist-vae", "VAE", "mnist-classifier", "mnist", "lsun", "MNIST")
    found = table2.evaluate(vae, n=200, operations=["2-point matched"])
    assert found.scorer.startswith("mnist-classifier")


@pytest.mark.parametrize("entry", table2.SETTINGS, ids=lambda entry: entry.name)
def test_every_entry_has_its_column_and_its_reference(entry):
    assert f"agustsson2019.table2.{entry.column}.linear2" in PUBLISHED
    assert references.REFERENCES[entry.reference].scorer == entry.scorer


@pytest.mark.parametrize("entry", table2.shipped(), ids=lambda entry: entry.name)
def test_results_are_kept_of_the_shipped_weights(entry):
    found = table2.kept(entry)
    assert found.n == 50_000
    assert [row.name for row in found.rows] == list(table2.OPERATIONS)
