"""1,000 bad arguments, made from signatures over every public function: an error names each that is of no use."""

import os
import random

import pytest
from bad_arguments import cases, outcome

#: How many; OT_LATENT_CASES=0 tries them all, in some minutes.
MANY = int(os.environ.get("OT_LATENT_CASES", "1000"))


@pytest.mark.filterwarnings("ignore")
def test_a_bad_argument_is_named_or_right_and_never_silent(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    every = list(cases())
    assert len(every) > 1000
    tried = random.Random(0).sample(every, MANY) if 0 < MANY < len(every) else every
    found = [(*outcome(case), case) for case in tried]
    wrong = [
        f"{what}: {c.name}({c.argument}={c.kind}): {said[:120]}"
        for what, said, c in found
        if what in ("silent", "cryptic")
    ]
    assert wrong == []
    assert sum(what == "clear" for what, *_ in found) > len(found) / 2
