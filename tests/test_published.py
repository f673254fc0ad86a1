"""Verdicts follow the stated rule, and the record survives parallel writers."""

import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from ot_latent import Run
from ot_latent.published import (
    ITEMS,
    PUBLISHED,
    compare,
    measured,
    render_map,
    render_results,
    render_summary,
)

NUMBER = "agustsson2019.table3.gaussian100.l2"  # 0.2463, printed with four digits
CLAIM = "agustsson2019.theorem1"


def run_in(folder, name="04_perturbation_table"):
    return Run(
        name,
        scale="smoke",
        seed=0,
        train=False,
        device="cpu",
        data_dir=None,
        figures_dir=str(folder),
    )


@pytest.mark.parametrize(
    ("ours", "interval", "verdict"),
    [
        (0.2463, None, "reproduced"),
        (0.24636, None, "not reproduced"),  # beyond half a unit of the last digit
        (0.2400, (0.2390, 0.2462), "not reproduced"),
        (0.2400, (0.2390, 0.24626), "reproduced"),
        (0.2500, (0.24634, 0.26), "reproduced"),
    ],
)
def test_a_number_is_reproduced_when_the_intervals_meet(ours, interval, verdict):
    assert measured(NUMBER, ours, interval, note="because").verdict == verdict


@pytest.mark.parametrize("holds", [True, False, np.bool_(False)])
def test_a_claim_is_decided_by_its_criterion(holds):
    row = measured(CLAIM, 1.0, holds=holds, note="because")
    assert row.verdict == ("reproduced" if holds else "not reproduced")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"key": "agustsson2019.table3.gaussian100.l3", "ours": 1.0}, "gaussian100.l2"),
        ({"key": CLAIM, "ours": 1.0}, "pass holds"),
        ({"key": NUMBER, "ours": 1.0, "holds": True}, "leave holds out"),
        ({"key": NUMBER, "ours": 1.0}, "reason"),
        ({"key": NUMBER, "ours": 1.0, "verdict": "reproduced", "note": "x"}, "verdict"),
        ({"key": NUMBER, "ours": 1.0, "verdict": "stand-in data"}, "needs a note"),
        ({"key": NUMBER, "ours": 1.0, "interval": (2, 1)}, "interval"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        measured(**arguments)


def _record(folder, name):
    compare(run_in(folder, name), measured(CLAIM, 1.0, holds=True))


def test_parallel_writers_lose_nothing(tmp_path):
    names = [f"{number:02d}_notebook" for number in range(8)]
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        list(pool.map(_record, [tmp_path] * len(names), names))
    assert sorted(json.loads((tmp_path / "results.json").read_text())) == names


def test_a_second_run_writes_the_same_bytes(tmp_path):
    _record(tmp_path, "04_a")
    before = (tmp_path / "results.json").read_bytes()
    _record(tmp_path, "04_a")
    assert (tmp_path / "results.json").read_bytes() == before


def test_tables_carry_every_row(tmp_path):
    row = measured(NUMBER, 0.25, (0.249, 0.251), note="the reason")
    table = compare(run_in(tmp_path), row, measured(CLAIM, 1.0, holds=True))
    assert "the reason" in repr(table)
    assert "not reproduced" in table._repr_markdown_()
    results = json.loads((tmp_path / "results.json").read_text())
    text = render_results(results)
    assert "0.249 to 0.251" in text
    assert "1 reproduced, 1 not reproduced" in text
    assert "Table 3" in render_summary(results)
    assert render_map(results).count("\n") == len(ITEMS) + 1
    assert "not run yet" in render_map({})


def test_every_number_belongs_to_an_item():
    known = {f"{item.paper}/{item.number}" for item in ITEMS}
    assert {entry.item for entry in PUBLISHED.values()} <= known
    for entry in PUBLISHED.values():
        assert (entry.value is None) == (entry.claim is not None)
