"""Decoded images: resumable, atomic, versioned, in bounded memory."""

import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ot_latent.datasets import cache as decoded
from ot_latent.datasets.cache import decoded_images, write_head
from ot_latent.datasets.catalogue import CorruptDataError
from ot_latent.datasets.pixels import Wanted

WANTED = Wanted(8)


@pytest.fixture(autouse=True)
def folder(cache):
    """Where decoded images go."""
    return cache / "decoded"


class Noise:
    """A source of random pixels, 8x8, that notes from where on it was read; it may kill its process."""

    def __init__(self, count, broken=(), kill_at=None):
        self.path = Path("noise")
        self.count, self.broken, self.kill_at = count, set(broken), kill_at
        self.starts = []
        self.fingerprint = f"noise {count}"

    def __len__(self):
        return self.count

    def pixels(self, index):
        return np.random.default_rng(index).integers(0, 256, (3, 8, 8), np.uint8)

    def chunks(self, start, most):
        self.starts.append(start)
        for first in range(start, self.count, 10):
            if self.kill_at is not None and first >= self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            rows = range(first, min(first + 10, self.count))
            yield [(f"{i}", b"?" if i in self.broken else self.pixels(i)) for i in rows]

    def all(self):
        rows = [self.pixels(i) for i in range(self.count) if i not in self.broken]
        return np.stack(rows).transpose(0, 2, 3, 1)


def test_pixels_arrive_in_order_and_are_read_once():
    source = Noise(95)
    for _ in range(2):
        images = decoded_images(source, WANTED, "noise", "raise")
        np.testing.assert_array_equal(images, source.all())
    assert source.starts == [0]
    assert isinstance(images, np.memmap) and not images.flags.writeable
    assert np.array_equal(np.load(images.filename), images)  # a file that numpy reads


KILLED = """
import sys; sys.path.insert(0, {tests!r})
from test_image_cache import Noise, WANTED, decoded
decoded.SECONDS = 0
decoded.decoded_images(Noise(95, broken={broken}, kill_at=60), WANTED, "noise", "skip")
"""


@pytest.mark.parametrize("broken", [(), (3, 33, 93)])
@pytest.mark.filterwarnings("ignore:left out")
def test_who_is_killed_goes_on_where_it_was(tmp_path, broken, folder, monkeypatch):
    code = KILLED.format(tests=str(Path(__file__).parent), broken=broken)
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not list(folder.glob("*.npy"))
    [unfinished] = folder.glob("*.partial")
    with unfinished.open("ab") as stream:  # written, but not entered into the journal
        stream.write(bytes(10**5))
    source = Noise(95, broken)
    if broken:  # left out by the killed run: no reason to read on when nothing may be left out
        with pytest.raises(CorruptDataError, match="2 of 95 images"):
            decoded_images(source, WANTED, "noise", "raise")
        assert source.starts == []
    images = decoded_images(source, WANTED, "noise", "skip")
    # one chunk is decoded while the next one is read: when 60 was asked for, 50 was not yet written
    assert source.starts == [50]
    np.testing.assert_array_equal(images, source.all())
    digest = hashlib.md5(Path(images.filename).read_bytes()).digest()
    assert not list(folder.glob("*.partial"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "fresh"))
    fresh = decoded_images(Noise(95, broken), WANTED, "noise", "skip")
    assert Path(fresh.filename) != Path(images.filename)
    assert hashlib.md5(Path(fresh.filename).read_bytes()).digest() == digest


def test_a_shortened_unfinished_file_is_begun_anew(folder):
    source = Noise(40, broken=[35])
    with pytest.raises(CorruptDataError, match="35"):
        decoded_images(source, WANTED, "noise", "raise")
    [unfinished] = folder.glob("*.partial")
    os.truncate(unfinished, 200)
    with pytest.warns(UserWarning, match="1 of 40 images"):
        images = decoded_images(source, WANTED, "noise", "skip")
    assert source.starts == [0, 0]
    np.testing.assert_array_equal(images, source.all())


def test_the_file_has_its_name_only_when_it_is_complete(folder):
    seen = []

    class Spy(Noise):
        def chunks(self, start, most):
            for chunk in super().chunks(start, most):
                seen.append(list(folder.glob("*.npy")))
                yield chunk

    decoded_images(Spy(50), WANTED, "noise", "raise")
    assert seen == [[]] * 5
    assert len(list(folder.glob("*.npy"))) == 1


def test_another_version_size_or_source_is_another_file(folder, monkeypatch):
    decoded_images(Noise(5), WANTED, "noise", "raise")
    decoded_images(Noise(6), WANTED, "noise", "raise")
    decoded_images(Noise(5), Wanted(4), "noise", "raise")
    decoded_images(Noise(5), Wanted(8, crop=6), "noise", "raise")
    monkeypatch.setattr(decoded, "VERSION", decoded.VERSION + 1)
    decoded_images(Noise(5), WANTED, "noise", "raise")
    assert len(list(folder.glob("*.npy"))) == 5


def test_of_two_at_a_time_one_decodes():
    sources = [Noise(500), Noise(500)]
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda s: decoded_images(s, WANTED, "noise", "raise"), sources))
    assert sorted(len(source.starts) for source in sources) == [0, 1]
    np.testing.assert_array_equal(both[0], both[1])


@pytest.mark.parametrize(
    ("suffix", "spoil"),
    [
        (".npy", lambda path: os.truncate(path, path.stat().st_size - 1)),
        (".npy", lambda path: np.save(path, np.zeros((3, 8, 8, 3), np.uint8))),
        (".npy", lambda path: path.write_bytes(b"")),
        (".json", lambda path: path.write_text("{", encoding="utf-8")),
        (".json", lambda path: path.write_text('{"pages": 3}', encoding="utf-8")),
        (".json", lambda path: path.unlink()),
    ],
)
def test_a_damaged_file_is_named_with_the_remedy(suffix, spoil):
    images = decoded_images(Noise(5), WANTED, "noise", "raise")
    spoil(Path(images.filename).with_suffix(suffix))
    with pytest.raises(CorruptDataError, match="noise-8-.*Remedy: remove it"):
        decoded_images(Noise(5), WANTED, "noise", "raise")


@pytest.mark.filterwarnings("ignore:left out")
def test_memory_does_not_depend_on_the_number_of_images(monkeypatch):
    monkeypatch.setattr(decoded, "NAMES", 5)
    counts = (500, 12_500)
    peaks = []
    for count in (400, *counts):  # the first one loads and compiles what later ones keep
        source = Noise(count, broken=range(0, count, 7))
        tracemalloc.start()
        decoded_images(source, WANTED, "noise", "skip")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # which of two threads allocates first moves a peak by 100 kB; kept pixels would be 2.3 MB
    assert peaks[2] - peaks[1] < 0.1 * np.diff(counts) * np.prod(WANTED.shape)


def test_many_skipped_images_are_counted_and_a_few_named(monkeypatch):
    monkeypatch.setattr(decoded, "NAMES", 2)
    named = r"25 of 50 images of noise are unusable: 1 \(.*\), 3 \([^)]*\), \.\.\.$"
    with pytest.warns(UserWarning, match=named):
        decoded_images(Noise(50, broken=range(1, 50, 2)), WANTED, "noise", "skip")


def test_a_full_disk_is_noticed_before_any_work(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=900)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    source = Noise(5)
    with pytest.raises(OSError, match="0.0 GB are needed.*Make room"):
        decoded_images(source, WANTED, "noise", "raise")
    assert source.starts == []


def test_on_error_is_one_of_two():
    with pytest.raises(ValueError, match="'raise' or 'skip', got 'ignore'"):
        decoded_images(Noise(5), WANTED, "noise", "ignore")


def test_the_head_of_the_file_is_as_long_for_every_count():
    lengths = {write_head(io.BytesIO(), 10**power, WANTED) for power in range(13)}
    assert len(lengths) == 1
