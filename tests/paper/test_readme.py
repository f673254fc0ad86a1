"""The README shows what the code prints and what the last run found."""

import doctest
import json
import re
from pathlib import Path

from ot_latent.paper.ledger import render_summary

ROOT = Path(__file__).resolve().parents[1]


def test_the_example_prints_what_it_shows():
    outcome = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert outcome.attempted >= 5
    assert outcome.failed == 0


def test_the_results_table_is_that_of_the_recorded_results():
    text = (ROOT / "README.md").read_text()
    shown = re.search(r"<!-- results -->\n(.*?)\n?<!-- /results -->", text, re.S).group(1)
    results = json.loads((ROOT / "figures" / "results.json").read_text())
    assert shown.strip() == render_summary(results), "copy the first table of figures/RESULTS.md"
