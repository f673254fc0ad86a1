"""Downloads: from the mirror that delivers, never more or longer than a file may take, and nothing else is left."""

import hashlib
import os
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from mirrors import drip, drip_of_heads, endless, late, later, lies, missing, redirects, resets, serving, stalls

from ot_latent import datasets
from ot_latent.datasets import DATASETS, CorruptDataError, DataFile, MissingDataError, files

CONTENT = b"official" * 1000
MD5 = hashlib.md5(CONTENT).hexdigest()
OTHER = b"<html>not here</html>"


@pytest.fixture
def fetch(empty_data, cache, monkeypatch):
    """Fetches mnist, which is one file here, from mirrors with these answers; returns the file and what was asked."""
    monkeypatch.setattr(files, "_PAUSE", 0.01)

    def get(seconds=20, together=1, **answers):
        with serving(**answers) as (address, asked):
            urls = tuple(f"{address}/{name}" for name in answers)
            file = DataFile("digits.gz", MD5, urls, size=len(CONTENT), seconds=seconds)
            monkeypatch.setitem(DATASETS, "mnist", replace(DATASETS["mnist"], files=(file,)))
            with ThreadPoolExecutor(together) as pool:
                found = list(pool.map(datasets.get, ["mnist"] * together))
        return found[0]["digits.gz"], asked

    return get


def left(cache):
    """What lies in the folder of downloads, without locks."""
    return sorted(name for name in os.listdir(cache / "mnist") if not name.endswith(".lock"))


def test_a_verified_download_goes_to_the_cache(fetch, cache):
    path, asked = fetch(first=CONTENT, second=CONTENT)
    assert path == cache / "mnist" / "digits.gz" and path.read_bytes() == CONTENT
    assert asked == ["first"] and left(cache) == ["digits.gz"]


@pytest.mark.parametrize(
    ("bad", "seconds"),
    [
        pytest.param(OTHER, 20, id="another file"),
        pytest.param(CONTENT[:-1], 20, id="truncated"),
        pytest.param(missing, 20, id="not found"),
        pytest.param(endless, 20, id="endless"),
        pytest.param(drip, 1, id="drip"),
        pytest.param(drip_of_heads, 1, id="drip of heads"),
        pytest.param(b"", 20, id="empty"),
        pytest.param(stalls, 1, id="stalls"),
        pytest.param(resets, 20, id="resets"),
        pytest.param(lies(9_000, CONTENT), 20, id="says it is longer"),
        pytest.param(lies(7_000, CONTENT), 20, id="says it is shorter"),
        pytest.param(redirects("/first"), 20, id="redirects to itself"),
        pytest.param(redirects("file:///etc/passwd"), 20, id="redirects to this machine"),
    ],
)
def test_a_second_mirror_makes_good_what_the_first_does_not(fetch, cache, bad, seconds):
    path, asked = fetch(seconds, first=bad, second=CONTENT)
    assert path.read_bytes() == CONTENT
    assert list(dict.fromkeys(asked)) == ["first", "second"] and asked.count("second") == 1
    assert left(cache) == ["digits.gz"]


def test_a_redirect_is_followed_and_what_comes_verified(fetch, cache):
    path, asked = fetch(first=redirects("/second"), second=CONTENT)
    assert path.read_bytes() == CONTENT and asked == ["first", "second"]


@pytest.mark.parametrize("times", [1, 2])
def test_who_is_overloaded_is_asked_again_with_growing_pauses(fetch, monkeypatch, times):
    pauses = []
    monkeypatch.setattr(files, "time", SimpleNamespace(sleep=pauses.append, monotonic=time.monotonic))
    monkeypatch.setattr(files, "_PAUSE", 1.0)
    path, asked = fetch(only=later(times, CONTENT))
    assert path.read_bytes() == CONTENT and asked == ["only"] * (times + 1)
    assert pauses == [0, 1, 4][: times + 1]


@pytest.mark.parametrize(
    ("bad", "seconds", "error", "said"),
    [
        (OTHER, 20, CorruptDataError, f"{hashlib.md5(OTHER).hexdigest()}, expected {MD5}"),
        (endless, 20, CorruptDataError, "more than the official 8,000 bytes"),
        (drip, 1, MissingDataError, "not here after 1 seconds"),
        (drip_of_heads, 1, MissingDataError, "not here after 1 seconds"),
        (missing, 20, MissingDataError, "HTTPError: 404"),
        (later(99, b""), 20, MissingDataError, "HTTPError: 503"),
        (stalls, 1, MissingDataError, "not here after 1 seconds"),
        (resets, 20, MissingDataError, "Connection broken: ConnectionResetError"),
        (lies(9_000, CONTENT), 20, MissingDataError, "Connection broken: IncompleteRead(8000 bytes read, 1000 more"),
        (redirects("/first"), 20, MissingDataError, "Exceeded 30 redirects"),
        (redirects("file:///etc/passwd"), 20, MissingDataError, "InvalidSchema"),
        (CONTENT[:-1], 20, CorruptDataError, "its md5 is"),
    ],
)
def test_where_no_mirror_delivers_each_is_named_with_its_fault_and_the_remedy(fetch, cache, bad, seconds, error, said):
    with pytest.raises(error) as caught:
        fetch(seconds, first=bad, second=bad)
    text = str(caught.value)
    assert text.count(said) == 2
    for part in ("/first: ", "/second: ", "Remedy", str(cache / "mnist" / "digits.gz"), "OT_LATENT_DATA"):
        assert part in text
    assert left(cache) == []


def test_what_comes_too_late_leaves_nothing(fetch, cache):
    before = set(threading.enumerate())
    fetch(1, first=late, second=CONTENT)
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()
    assert left(cache) == ["digits.gz"]


def test_an_endless_file_is_left_at_once(fetch):
    sent = []

    def counted(send):
        endless(lambda content: sent.append(send(content)))

    fetch(first=counted, second=CONTENT)
    assert len(sent) < 1000  # 64 kB each; what is on its way counts


def test_what_a_killed_download_left_is_removed_and_nothing_else(fetch, cache):
    folder = cache / "mnist"
    folder.mkdir(parents=True)
    handle, _ = tempfile.mkstemp(dir=folder, prefix=".digits.gz.")  # as `write_atomically` names them
    os.close(handle)
    mine = [".env", ".digits.gz", "tmp12345678", ".labels.gz.12345678"]
    for name in mine:
        (folder / name).write_text("mine", encoding="utf-8")
    fetch(first=CONTENT)
    assert left(cache) == sorted([*mine, "digits.gz"])


def test_of_several_at_a_time_one_downloads(fetch):
    _, asked = fetch(first=CONTENT, together=4)
    assert asked == ["first"]


def test_every_file_that_is_downloaded_states_its_size_and_time():
    files = [file for known in DATASETS.values() for file in known.files if file.urls]
    assert len(files) == 5
    for file in files:
        # ten minutes for what takes longer than a second at 16 kB/s, so that slow lines have a chance
        assert file.size > 0 and file.seconds >= max(300, file.size / 16_000)
    assert [file.size for file in DATASETS["mnist"].files] == [9_912_422, 28_881, 1_648_877, 4_542]
    assert DATASETS["cifar10"].files[0].size == 170_052_171


@pytest.mark.parametrize("file", DATASETS["mnist"].files, ids=lambda file: file.name)
def test_the_official_sizes(file):
    path = Path(os.environ.get("OT_LATENT_DATA", "nowhere")) / "mnist" / file.name
    if not path.is_file():
        pytest.skip("mnist is not in $OT_LATENT_DATA")
    assert path.stat().st_size == file.size
