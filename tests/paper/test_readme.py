"""The README shows what the code prints and what the last run found, and that run judged every claim."""

import doctest
import json
import re
from pathlib import Path

from ot_latent.paper.claims import claims
from ot_latent.paper.ledger import VERDICTS, read_seeds, render_counts, render_results

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_prints_what_it_shows():
    outcome = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert outcome.attempted >= 5
    assert outcome.failed == 0


def test_it_has_two_screens():
    """Of forty lines each: on a code host that makes two pages of 1080 pixels, with the picture."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 80
    assert [line for line in lines if len(line) > 125 and not line.startswith("|")] == []


def results():
    return json.loads((ROOT / "figures" / "results.json").read_text(encoding="utf-8"))


def test_the_results_table_is_that_of_the_recorded_results():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- results -->\n(.*?)\n?<!-- /results -->", text, re.S).group(1)
    assert shown.strip() == render_counts(results())


def test_the_page_of_results_is_that_of_the_recorded_results():
    assert (ROOT / "figures" / "RESULTS.md").read_text(encoding="utf-8") == render_results(
        results(), read_seeds(ROOT / "figures")
    )


def test_every_claim_is_recorded_once():
    recorded = [key for section in results().values() for key in section["rows"]]
    assert len(set(recorded)) == len(recorded)
    assert set(recorded) == set(claims().entries)


def test_the_record_is_of_the_notebooks_that_there_are_and_knows_its_words():
    assert results().keys() <= {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    verdicts = {key: row["verdict"] for section in results().values() for key, row in section["rows"].items()}
    assert set(verdicts.values()) <= set(VERDICTS)
    assert [key for key, verdict in verdicts.items() if verdict == "by construction: fails"] == []
