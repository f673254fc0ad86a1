"""Claims are well formed, found by short keys, and decided as their criteria are written."""

import math
import re

import pytest

from ot_latent.paper.claims import KINDS, claims, criterion, paper_ratio, read_claims

ENTRIES = claims().entries

FILE = """
title = "A paper"
[[item]]
number = "Figure 1"
title = "a picture"
notebook = "01_a"
[claim.number]
item = "Figure 1"
place = "section 1"
what = "a number"
value = 2.0
error = 0.5
measure = "the number"
kind = "empirical"
data = "random numbers"
[claim."a.claim"]
item = "Figure 1"
place = "section 1"
what = "a claim"
statement = "it is small"
measure = "its size"
holds = ["interval below 0.5", "p_value above 0.001"]
why = "small is below a half"
kind = "empirical"
data = "MNIST"
"""


def write(folder, text=FILE, name="first2001"):
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("text", "quantities", "met"),
    [
        ("interval above 0.1", {"interval": (0.11, 3)}, True),
        ("interval above 0.1", {"interval": (0.1, 3)}, False),
        ("interval below -1e-3", {"interval": (-3, -0.0011)}, True),
        ("interval below 0.5", {"interval": (0.1, 0.5)}, False),
        ("value at least 2", {"value": (2, 2)}, True),
        ("value at most 2", {"value": (2.1, 2.1)}, False),
        ("interval within 0.9 to 1.1", {"interval": (0.9, 1.1)}, True),
        ("interval within 0.9 to 1.1", {"interval": (0.89, 1.0)}, False),
        ("interval within -1 to 1", {"interval": (-0.5, 1.5)}, False),
        ("interval meets 2 ± 0.5", {"interval": (2.5, 3)}, True),
        ("interval meets 2 ± 0.5", {"interval": (1, 1.4)}, False),
        ("p_value above level", {"p_value": (0.2, 0.2), "level": (0.05, 0.05)}, True),
        ("value below 2 × floor", {"value": (1.9, 1.9), "floor": (1, 1)}, True),
        ("value below 2 × floor", {"value": (2.0, 2.0), "floor": (1, 1)}, False),
        # of two intervals the ends count that are nearest to each other
        ("interval below vae", {"interval": (1, 2), "vae": (2.1, 9)}, True),
        ("interval below vae", {"interval": (1, 2.2), "vae": (2.1, 9)}, False),
        ("aeot above other", {"aeot": (3, 4), "other": (1, 3.5)}, False),
        ("interval above 0.1", {"interval": (0.2, math.inf)}, True),
        ("interval above 0.1", {"interval": (0.2, math.nan)}, False),
        ("value below 1", {"value": (math.nan, math.nan)}, False),
        ("value above level", {"value": (1, 1), "level": (math.nan, math.nan)}, False),
        ("value at most 1", {"value": (math.nan, math.nan)}, False),
    ],
)
def test_criteria_are_read_as_they_are_written(text, quantities, met):
    assert criterion(text).holds(quantities) is met


@pytest.mark.parametrize(
    "text", ["interval over 1", "above 1", "value above", "value above 1 to 2", "value within 1", "value meets 1", ""]
)
def test_what_is_no_comparison_is_refused(text):
    with pytest.raises(ValueError, match="no comparison"):
        criterion(text)


def test_ratios_of_the_paper_carry_the_errors_of_both_numbers():
    numbers = {"a": {"value": 3.0, "error": 0.3}, "b": {"value": 2.0, "error": 0.1}}
    ratio, error = paper_ratio((3.0, 0.3), (2.0, 0.1))
    assert (ratio, error) == pytest.approx((1.5, 1.5 * math.hypot(0.1, 0.05)))
    part = criterion("ratio meets a / b", numbers)
    assert part.ratio == (ratio, error)
    assert part.holds({"ratio": (ratio + error, 9.0)})
    assert not part.holds({"ratio": (ratio + error + 1e-9, 9.0)})
    with pytest.raises(ValueError, match="'c' is no number"):
        criterion("ratio meets a / c", numbers)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "empirical"', 'kind = "likely"', "claim 'number'.*'kind'.*empirical"),
        ('why = "small', 'wy = "small', "claim 'a.claim'.*'wy'.*known"),
        ('why = "small is below a half"', "", "claim 'a.claim'.*'why' is missing"),
        ("error = 0.5", 'error = 0.5\nholds = ["value above 1"]', "claim 'number'.*'why' is missing"),
        ('place = "section 1"', "", "claim 'number'.*'place' is missing"),
        ("interval below 0.5", "interval under 0.5", "claim 'a.claim'.*'holds'.*under"),
        ('["interval below 0.5", "p_value above 0.001"]', "[3]", "claim 'a.claim'.*'holds'"),
        ('["interval below 0.5", "p_value above 0.001"]', '"interval below 0.5"', "'holds' must be a list"),
        ('["interval below 0.5", "p_value above 0.001"]', "[]", "'holds' must be a list, not empty"),
        ('item = "Figure 1"', 'item = "Figure 2"', "claim 'number'.*'item'.*Figure 2"),
        ("error = 0.5", "", "claim 'number'.*'error' is missing"),
        ("value = 2.0", 'value = "2.0"', "claim 'number'.*'value' must be a float"),
        ("value = 2.0", "value = true", "claim 'number'.*'value' must be a float"),
        ('statement = "it is small"', 'statement = "it is small"\nquote = "small"', "'quote' and 'statement'"),
        ('statement = "it is small"', "", "'quote' and 'statement'"),
        ('why = "small', 'undecided = "why"\nwhy = "small', "'undecided'"),
        ('[claim."a.claim"]', "[claim.number]", "first2001.toml"),
        ('title = "A paper"', "", "first2001.toml: field 'title' is missing"),
        ('number = "Figure 1"', "", "first2001.toml, item None.*'number' is missing"),
        ("[claim.number]", '[[item]]\nnumber = "Figure 1"\ntitle = "x"\nnotebook = "y"\n[claim.number]', "twice"),
    ],
)
def test_a_wrong_file_is_refused_by_file_claim_and_field(tmp_path, old, new, message):
    assert old in FILE
    with pytest.raises(ValueError, match=message):
        read_claims(write(tmp_path, FILE.replace(old, new, 1)))


def test_numbers_are_decided_by_their_own_error(tmp_path):
    entry = read_claims(write(tmp_path)).entries["first2001.number"]
    assert entry.criterion == "interval meets 2 ± 0.5"
    assert entry.holds[0].holds({"interval": (2.5, 3)}) and not entry.holds[0].holds({"interval": (2.6, 3)})


def test_short_keys_are_those_of_one_paper(tmp_path):
    write(tmp_path, FILE)
    assert read_claims(tmp_path).find("number").key == "first2001.number"
    found = read_claims(write(tmp_path, FILE, "second2002"))
    assert found.find("second2002.number").key == "second2002.number"
    with pytest.raises(ValueError, match=r"ambiguous: second2002.number, first2001.number"):
        found.find("number")


@pytest.mark.parametrize(
    ("key", "close"),
    [("table3.gaussian100.l3", "gaussian100.l2"), ("agustsson2019.theorem4", "agustsson2019.theorem1")],
)
def test_a_misspelt_key_lists_close_ones(key, close):
    with pytest.raises(ValueError, match=close):
        claims().find(key)


def test_data_may_say_which_part_was_used():
    number = claims().find("table2.cifar10.linear2")
    assert number.is_about("CIFAR-10") and number.is_about("CIFAR-10, three of its five batches")
    assert not number.is_about("CIFAR-100") and not number.is_about("MNIST")


@pytest.mark.parametrize("key", ENTRIES)
def test_every_claim_is_well_formed(key):
    entry = ENTRIES[key]
    assert entry.kind in KINDS and entry.item in claims().items
    assert re.fullmatch(r"\d\d_\w+", entry.item.notebook)
    assert bool(entry.holds) != bool(entry.undecided)
    assert entry.measure and entry.data
    if entry.value is None:
        assert bool(entry.quote) != bool(entry.statement)
    else:
        assert entry.error > 0
    within_the_error = entry.value is not None and entry.criterion.startswith("interval meets")
    assert entry.why or entry.undecided or within_the_error  # which is its own reason


def test_the_papers_are_complete():
    papers = [item.paper for item in claims().items]
    assert list(dict.fromkeys(papers)) == ["agustsson2019", "liu2018", "bousquet2017"]
    assert len(papers) == 49
    assert len({item.key for item in claims().items}) == len(claims().items)
    assert len(ENTRIES) == 240
    assert {claim.item for claim in ENTRIES.values()} == set(claims().items)  # none without a row
