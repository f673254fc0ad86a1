"""Verdicts follow the stated rule, and the record survives parallel writers."""

import html
import json
import re
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import markdown_it
import numpy as np
import pytest

from ot_latent.paper.claims import claims
from ot_latent.paper.ledger import (
    VERDICTS,
    Table,
    comparison,
    escaped,
    judge,
    read_results,
    read_seeds,
    render_map,
    render_results,
    render_summary,
    write_results,
)

NUMBER = claims().find("table3.gaussian100.l2")  # 0.2463, printed with four digits
CLAIM = claims().find("appendixA.support.gaussian")  # interval below 0.05
STRUCTURE = claims().find("fig4.structure")  # of CelebA, interval below 1.25
ORDER = claims().find("table1.order")  # aeot above other


@pytest.mark.parametrize(
    ("ours", "interval", "verdict"),
    [
        (0.2463, None, "reproduced"),
        (0.24636, None, "not reproduced"),  # beyond half a unit of the last digit
        (0.2400, (0.2390, 0.2462), "not reproduced"),
        (0.2400, (0.2390, 0.24626), "reproduced"),
        (0.2500, (0.24634, 0.26), "reproduced"),
        (np.nan, None, "not reproduced"),
        (0.2463, (np.nan, np.nan), "not reproduced"),
    ],
)
def test_a_number_is_reproduced_when_the_intervals_meet(ours, interval, verdict):
    assert judge(NUMBER, ours, interval, note="because")["verdict"] == verdict


@pytest.mark.parametrize(("ours", "holds"), [(0.04, True), (0.06, False), (np.float32(0.06), False), (np.nan, False)])
def test_a_claim_is_decided_by_its_criterion(ours, holds):
    row = judge(CLAIM, ours, note="because")
    assert row["verdict"] == ("reproduced" if holds else "not reproduced")


@pytest.mark.parametrize(
    ("claim", "arguments", "message"),
    [
        (ORDER, {"quantities": {}, "data": "MNIST"}, r"needs the quantities \['aeot', 'other'\]"),
        (NUMBER, {"quantities": {"holds": 1.0}}, r"needs the quantities \[\], got \['holds'\]"),
        (NUMBER, {}, "reason"),
        (NUMBER, {"interval": (2, 1)}, "interval"),
        (ORDER, {"quantities": {"aeot": (2, 1), "other": 1}, "data": "MNIST"}, "aeot must be"),
        (STRUCTURE, {}, "about CelebA: say on which data="),
    ],
)
def test_bad_arguments_are_named(claim, arguments, message):
    with pytest.raises(ValueError, match=message):
        judge(claim, 1.0, **arguments)


@pytest.mark.parametrize("key", claims().entries)
def test_nothing_on_other_data_counts_as_reproduced(key):
    """Nor what is true by construction, nor what is not the paper's."""
    claim = claims().entries[key]
    for value in (-1.0, 0.0, 0.5, 1.0, 10.0):
        quantities = dict.fromkeys(claim.quantities, value)
        verdict = judge(claim, value, data="a stand-in", quantities=quantities)["verdict"]
        assert verdict in VERDICTS[3:]
        if claim.kind == "empirical":
            assert verdict.startswith("stand-in: ") or claim.undecided
        else:
            own = judge(claim, value, data=claim.data, quantities=quantities)
            assert own["verdict"] == verdict and verdict.startswith(f"{claim.kind}: ")


def test_a_stand_in_says_whether_the_criterion_is_met():
    assert judge(STRUCTURE, 1.05, data="FairFace")["verdict"] == "stand-in: holds"
    assert judge(STRUCTURE, 1.2, data="FairFace")["verdict"] == "stand-in: fails"
    assert judge(STRUCTURE, 1.05, data="CelebA")["verdict"] == "reproduced"


def test_scores_compare_in_ratio():
    linear = claims().find("table2.cifar10.linear2")
    row = judge(linear, 3.11, data="CIFAR-10", quantities={"ratio": (0.88, 0.9)})
    assert row["verdict"] == "reproduced in ratio"
    assert "ratio 0.880 to 0.900, in the paper 0.901 ± 0.016" in row["note"]
    row = judge(linear, 3.11, data="CIFAR-10", quantities={"ratio": (0.83, 0.85)})
    assert row["verdict"] == "not reproduced" and linear.cause in row["note"]
    row = judge(claims().find("table2.cifar10.random"), 3.7, data="CIFAR-10")
    assert row["verdict"] == "not decided" and "Inception v3" in row["note"]
    assert judge(claims().find("table1.vae"), 6.8, data="MNIST")["verdict"] == "not decided"


def test_what_failed_carries_its_cause():
    modes = claims().find("fig2.modes")
    fails = judge(modes, 0.89, (0.88, 0.9), quantities={"emptiest_mode": 0.1})
    assert fails["note"] == modes.cause
    assert judge(modes, 0.95, (0.94, 0.96), quantities={"emptiest_mode": 0.1})["note"] == ""
    with pytest.raises(ValueError, match="reason"):
        judge(replace(modes, cause=""), 0.89, quantities={"emptiest_mode": 0.1})


def test_no_sentence_of_ours_stands_in_the_column_of_the_paper():
    ours, theirs = claims().find("theorem1.random_decoder"), claims().find("theorem1.finite")
    rows = {claim.key: judge(claim, 1e-12) for claim in (ours, theirs, NUMBER) if claim is not NUMBER}
    rows[NUMBER.key] = judge(NUMBER, 0.2463)
    assert [row["paper"] for row in rows.values()] == [None, theirs.quote, [0.2463, 5e-5]]
    table = comparison(rows)
    papers = [row[table.columns.index("paper")] for row in table.rows]
    assert papers == [None, f"“{theirs.quote}” (section 3.1)", "0.2463 ± 5e-05"]
    labels = [row[table.columns.index("claim")] for row in table.rows]
    assert labels == [f"{ours.what}\n(our words: {ours.statement})", theirs.what, NUMBER.what]
    assert f"{ours.what}<br>(our words: {ours.statement})" in table._repr_markdown_()


def test_a_row_keeps_its_fields_and_digits():
    assert judge(NUMBER, 0.246312345, (0.2451234567, 0.2471234567), note="simulated") == {
        "item": "agustsson2019/Table 3",
        "what": "Gaussian, d = 100, p = 2",
        "paper": [0.2463, 5e-5],
        "ours": 0.246312,
        "interval": [0.245123, 0.247123],
        "verdict": "reproduced",
        "note": "simulated",
        "data": "random numbers",
        "kind": "empirical",
        "criterion": "interval meets 0.2463 ± 5e-05",
    }


def _section():
    return {"scale": "smoke", "seed": 0, "rows": {CLAIM.key: judge(CLAIM, 0.01)}}


def _record(folder, name):
    write_results(folder, name, _section())


def test_parallel_writers_lose_nothing(tmp_path):
    names = [f"{number:02d}_notebook" for number in range(8)]
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        list(pool.map(_record, [tmp_path] * len(names), names))
    assert sorted(read_results(tmp_path)) == names


def test_a_second_run_writes_the_same_bytes(tmp_path):
    _record(tmp_path, "04_a")
    before = (tmp_path / "results.json").read_bytes()
    _record(tmp_path, "04_a")
    assert (tmp_path / "results.json").read_bytes() == before


def recorded(folder, value, interval, **settings):
    """The record's bytes after a notebook found these."""
    row = judge(CLAIM, value, interval)
    write_results(folder, "04_a", {"scale": "quick", "seed": 0, "rows": {CLAIM.key: row}} | settings)
    return (folder / "results.json").read_bytes()


def test_numbers_stay_until_they_say_something_else(tmp_path):
    first = recorded(tmp_path, 0.02, (0.01, 0.03))
    assert recorded(tmp_path, 0.0201, (0.0101, 0.0299)) == first  # a hundredth of the interval is 0.0002
    later = [recorded(tmp_path, *found) for found in [(0.0203, (0.01, 0.03)), (0.02, (0.01, 0.0303)), (0.02, None)]]
    assert len({first, *later}) == 4
    gap = recorded(tmp_path, 1.1e-16, None)
    assert recorded(tmp_path, 4.4e-16, None) == gap != recorded(tmp_path, 1.1e-6, None)
    assert recorded(tmp_path, 0.02, (0.01, 0.03), seed=1) != recorded(tmp_path, 0.02001, (0.01, 0.03), seed=2)


def test_seeds_stand_beside_the_verdict(tmp_path):
    claims_found = {CLAIM.key: {"values": [0.1] * 20, "held": [True] * 19 + [False]}}
    other = {CLAIM.key: {"values": [0.1], "held": [False]}}  # with other parameters than the recorded run
    found = {"09_x": {"claims": claims_found}, "09_x device=cuda": {"claims": other}}
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "sweep.json").write_text(json.dumps(found), encoding="utf-8")
    recorded(tmp_path, 0.02, (0.01, 0.03))
    text = render_results(read_results(tmp_path), read_seeds(tmp_path))
    assert "| reproduced<br>holds in 19 of 20 seeds" in text
    assert read_seeds(tmp_path / "elsewhere") == {}


def test_claims_that_are_gone_leave_the_record(tmp_path):
    section = _section()
    section["rows"]["agustsson2019.gone"] = section["rows"][CLAIM.key]
    write_results(tmp_path, "04_a", section)
    assert list(read_results(tmp_path)["04_a"]["rows"]) == [CLAIM.key]
    assert "1 reproduced" in render_results(read_results(tmp_path))


def test_tables_carry_every_row(tmp_path):
    rows = {NUMBER.key: judge(NUMBER, 0.25, (0.249, 0.251), note="the reason"), CLAIM.key: judge(CLAIM, 0.01)}
    table = comparison(rows)
    assert "the reason" in repr(table)
    assert "not reproduced" in table._repr_markdown_()
    write_results(tmp_path, "04_a", {"scale": "smoke", "seed": 0, "rows": rows})
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    text = render_results(results)
    assert "0.249 to 0.251" in text
    assert "1 reproduced, 1 not reproduced" in text
    assert "interval below 0.05" in text and CLAIM.quote in text and CLAIM.measure in text
    assert "Table 3" in render_summary(results)
    assert render_map(results).count("\n") == len(claims().items) + 1
    assert "not run yet" in render_map({})


def test_notes_that_rows_share_are_given_once_and_stand_ins_are_named():
    other = claims().find("table3.gaussian100.l1")
    rows = {NUMBER.key: judge(NUMBER, 0.2463, note="simulated"), other.key: judge(other, 0.246)}
    assert comparison(rows).notes == [f"*all*: {NUMBER.measure}.", f"*{NUMBER.what}*: simulated."]
    rows[STRUCTURE.key] = judge(STRUCTURE, 1.05, data="FairFace")
    assert comparison(rows).notes == [
        f"*{NUMBER.what}; {other.what}*: {NUMBER.measure}.",
        f"*{NUMBER.what}*: simulated.",
        f"*{STRUCTURE.what}*: {STRUCTURE.measure}; {STRUCTURE.why}.",
        f"*{STRUCTURE.what}*: on FairFace.",
    ]


def test_long_cells_are_wrapped_as_text():
    table = Table(("claim", "n"), [("a claim of many words that goes on", 1)], width=20)
    assert repr(table).splitlines() == ["claim               n", "a claim of many     1", "words that goes on"]


def test_cells_are_formatted_by_their_kind():
    row = ("E[X | Z]", 12345, 0.123456, np.float32(2.5), (0.1, 0.25), None, np.bool_(True))
    table = Table(tuple("abcdefg"), [row], ["*a*: note."])
    cells = re.split("  +", repr(table).splitlines()[1])
    assert cells == ["E[X | Z]", "12345", "0.1235", "2.5", "0.1 to 0.25", "–", "True"]
    assert "E[X \\| Z]" in table._repr_markdown_()
    assert repr(table).endswith("*a*: note.")
    with pytest.raises(ValueError, match="2 columns, but 1 cells"):
        Table(("a", "b"), [("c",)])


@pytest.mark.parametrize(
    "text",
    [
        *("*new*", "a * b * c", "__init__", "_x_", "p_value of a_b_c", "`code`", "a ` b", "E[X | Z] (of X)"),
        *("[a](http://b.c)", "[[a]](b)", "[a [b]](c)", "[a][b]", "![a](b)", "[a\\](b)", "a\\*b", "\\", "x\\_y_"),
        *("<b>bold</b>", "<script>x</script>", "<http://a.b>", "<!-- a -->", "3 < 4 <= 5", "&lt;&amp;", "|a|b|"),
        *("$5 and $6", "~~out~~", "a\\|b"),
    ],
)
def test_names_are_shown_as_they_are(text):
    """Also by a reader of markdown that knows tables, in cells, heads and notes."""
    reader = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"])

    def shown(source):
        return [html.unescape(re.sub("<.*?>", "", part)) for part in reader.render(source).splitlines() if part != ""]

    assert shown(escaped(text)) == [text]
    lines = shown(Table((text, "n"), [(text, 1)], [f"*all*: {escaped(text)}."])._repr_markdown_())
    assert [line for line in lines if line] == [text, "n", text, "1", f"all: {text}."]
    assert repr(Table((text,), [(text,)], [f"*all*: {escaped(text)}."])).splitlines() == [text, text, f"*all*: {text}."]
    row = judge(replace(NUMBER, what=text), 0.25, note=text)
    assert escaped(text).replace("|", "\\|") in comparison({NUMBER.key: row})._repr_markdown_()
    assert f"*{escaped(text)}*: {escaped(text.rstrip('.'))}." in render_results(
        {"04_a": _section() | {"rows": {NUMBER.key: row}}}
    )


def test_what_is_meant_as_markdown_stays():
    assert "| [04](04_perturbation_table.ipynb) |" in render_map({})


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"<<<<<<< HEAD\n{}", b"\xff\xfe", b"[1]", b"3", b'{"04_a": 3}', b'{"04_a": {"scale": "quick"}}'),
        b'{"04_a": {"scale": "quick", "seed": 0, "rows": {"agustsson2019.table3.gaussian100.l2": {"what": "a"}}}}',
    ],
)
def test_a_damaged_record_says_what_to_do_and_stays(tmp_path, content):
    (tmp_path / "results.json").write_bytes(content)
    message = (
        r"results.json is damaged \(.*\). Remedy: `git checkout` it .* or remove it; then run `ot-latent reproduce`"
    )
    with pytest.raises(ValueError, match=message):
        read_results(tmp_path)
    with pytest.raises(ValueError, match=message):
        _record(tmp_path, "05_b")
    assert (tmp_path / "results.json").read_bytes() == content
