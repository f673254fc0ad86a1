"""Whatever a file holds, its reader gives what was written or one clear error, in bounded memory.

Each reader gets files with bytes flipped, cut, repeated and put in, and the strange ones that are listed here or kept
in the folder `corpus`. As a program it goes on for minutes, and keeps there what a reader could not take:

    python tests/core/test_fuzzed_files.py [--minutes 10] [--seed 0] [READER ...]
"""

import argparse
import gzip
import hashlib
import io
import json
import random
import re
import struct
import sys
import tempfile
import time
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save as as_bytes

import ot_latent as otl
from ot_latent._storage import States, read_tensors, save_tensors
from ot_latent.datasets.catalogue import CorruptDataError
from ot_latent.datasets.formats import read_idx
from ot_latent.datasets.sources import open_source
from ot_latent.models import checkpoints
from ot_latent.models.autoencoders import VAE
from ot_latent.paper.claims import read_claims

MANY = 60  # spoilt files of each reader
CORPUS = Path(__file__).parent / "corpus"
MOST = (
    2**27 + 2**24
)  # bytes of memory that a reader may take beyond those of the file: twice the largest image, and some


def idx(shape=(3, 4, 4), kind=b"\x00\x00\x08"):
    header = kind + bytes([len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
    return gzip.compress(header + bytes(min(int(np.prod(shape)), 10_000)))


def archive():
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("a.png", "b/c.png", "notes.txt"):
            file.writestr(name, name * 50)
    return whole.getvalue()


def hdf5():
    whole = io.BytesIO()
    with h5py.File(whole, "w") as file:
        file.create_dataset("data", data=np.zeros((4, 3, 8, 8), np.uint8), chunks=(1, 3, 8, 8), compression="gzip")
    return whole.getvalue()


def bomb():
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.png", bytes(2**28))
    return whole.getvalue()


def linked(name):
    whole, entry = io.BytesIO(), zipfile.ZipInfo(name)
    entry.external_attr = 0o120777 << 16 if name == "link.png" else 0
    with zipfile.ZipFile(whole, "w") as file:
        file.writestr(entry, "/etc/passwd")
    return whole.getvalue()


def written(make, tmp_path):
    make(tmp_path / "made")
    return (tmp_path / "made").read_bytes()


def read_images(path):
    source = open_source(path)
    return [item for chunk in source.chunks(0, 2) for item in chunk]


def read_checkpoint(path):
    return checkpoints.load(path)


def header(declared):
    text = json.dumps({"a": {"dtype": "F32", "shape": [declared], "data_offsets": [0, 4 * declared]}}).encode()
    return struct.pack("<Q", len(text)) + text


FIT = otl.SemiDiscreteOT(tolerance=0.5).fit(np.random.default_rng(0).standard_normal((6, 2)))
NETWORK = VAE(2, 1)
#: Of each reader: the name of the file, a good one, how it is read, and strange ones.
READERS = {
    "idx": (
        "spoilt.gz",
        lambda _: idx(),
        read_idx,
        [b"", gzip.compress(b"\0\0\x08"), idx((2**31, 2**31)), idx((70_000,) * 255)],
    ),
    "zip": ("spoilt.zip", lambda _: archive(), read_images, [b"PK", bomb(), linked("link.png"), linked("../../a.png")]),
    "hdf5": ("spoilt.h5", lambda _: hdf5(), read_images, [b"\x89HDF\r\n\x1a\n", hdf5()[:600]]),
    "saved": (
        "spoilt.safetensors",
        lambda folder: written(lambda path: otl.save(FIT, path), folder),
        otl.load,
        [b"", header(2**40), struct.pack("<Q", 2**62), as_bytes({}, {"facts": "[" * 99_999, "sha256": ""})],
    ),
    "state": (
        "spoilt.safetensors",
        lambda folder: written(lambda path: save_tensors(path, {"a": torch.ones(3)}, {"log": []}), folder),
        read_tensors,
        [b"", header(2**40), as_bytes({"a": torch.ones(2)})],
    ),
    "weights": (
        "spoilt.safetensors",
        lambda folder: checkpoints.save(folder / "spoilt.safetensors", NETWORK, {}).read_bytes(),
        read_checkpoint,
        [b"", header(2**40)],
    ),
    "card": (
        "spoilt.json",
        lambda folder: checkpoints.save(folder / "spoilt.safetensors", NETWORK, {}).with_suffix(".json").read_bytes(),
        read_checkpoint,
        [b"", b"[" * 99_999, b"[1, 2]", b'{"model": 3}', b'{"model": {"kind": []}}', b'{"model": {"kind": "Popen"}}']
        + [b" " * 2**24, b"\xff\xfe", b'{"model": {"kind": "VAE", "latent_dim": 1e99}}', b"null"],
    ),
    "claims": (
        "spoilt.toml",
        lambda _: (CLAIM).encode(),
        lambda path: read_claims(path.parent),
        [b"\xff", b"a = [" * 5_000, b"a = " + b"[" * 50_000, b'[claim]\n"a" = 3', b"[[item]]\n"],
    ),
}
CLAIM = """
title = "A"
[[item]]
number = "Figure 1"
title = "a"
notebook = "01_a"
[claim."a.a"]
item = "Figure 1"
place = "section 3"
what = "a"
quote = "a"
measure = "a"
value = 0.05
error = 0.01
holds = ["interval below 0.1", "interval meets 0.05 ± 0.01"]
why = "a"
kind = "empirical"
data = "random numbers"
"""


def spoilt(content, rng):
    """The content with a few bytes flipped, cut out, repeated, put in or cut off."""
    content = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(content) + 1)
        way, size = rng.randrange(5), rng.choice((1, 2, 8, 64))
        if way == 0 and at < len(content):
            content[at] ^= 1 << rng.randrange(8)
        elif way == 1:
            del content[at : at + size]
        elif way == 2:
            content[at:at] = content[at : at + size]
        elif way == 3:
            content[at:at] = rng.choice((b"\xff", b"\0", rng.randbytes(8))) * size
        else:
            del content[at:]
    return bytes(content)


def is_refused(kind, folder, content, good):
    """Whether the reader refuses this content, clearly and in bounded memory; raises where it does neither."""
    name, _, read, _ = READERS[kind]
    (folder / name).write_bytes(content)
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read(folder / ("spoilt.safetensors" if kind == "card" else name))
    except (ValueError, CorruptDataError) as error:
        assert "spoilt" in str(error), error  # says which file
        return True
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MOST + 4 * len(good), peak
    return False


def strange(kind):
    """Contents that once were, or might be, too much for a reader."""
    return [*READERS[kind][3], *(path.read_bytes() for path in sorted(CORPUS.glob(f"{kind}-*")))]


@pytest.mark.parametrize("kind", READERS)
def test_a_spoilt_file_gives_a_clear_error_in_bounded_memory(kind, tmp_path):
    good, rng = READERS[kind][1](tmp_path), random.Random(kind)
    assert not is_refused(kind, tmp_path, good, good)
    for content in strange(kind):
        is_refused(kind, tmp_path, content, good)
    refused = sum(is_refused(kind, tmp_path, spoilt(good, rng), good) for _ in range(MANY))
    assert refused > MANY / 4


@pytest.mark.parametrize(
    "name", ["../checkpoints/mnist-vae", "../../data/checkpoints/mnist-vae", "/etc/passwd", "", "."]
)
def test_names_of_checkpoints_do_not_lead_out_of_their_folder(name):
    for ask in (checkpoints.load, checkpoints.shipped, checkpoints.weights_hash):
        with pytest.raises(FileNotFoundError, match="no shipped checkpoint"):
            ask(name)


def test_a_damaged_state_beside_a_good_one_is_passed_over(tmp_path):
    optimizer = torch.optim.Adam(NETWORK.parameters())
    states = States(tmp_path, {})
    states.save(1, NETWORK, [optimizer], {"log": []})
    good = states.paths()[0].read_bytes()
    rng = random.Random(0)
    for _ in range(10):
        (tmp_path / "state-000000002.safetensors").write_bytes(spoilt(good, rng))
        with pytest.warns(UserWarning, match="is damaged"):
            assert states.restore(NETWORK, [optimizer]) == {"log": []}


def main():
    """Fuzz each reader for some minutes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readers", nargs="*", metavar="READER", help=f"of {', '.join(READERS)}; default: all")
    parser.add_argument("--minutes", type=float, default=10.0, help="for each; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    kept = 0
    for kind in arguments.readers or READERS:
        with tempfile.TemporaryDirectory() as folder:
            good, rng = READERS[kind][1](Path(folder)), random.Random(f"{kind} {arguments.seed}")
            known, seeds = set(), [good, *strange(kind)]
            files, refused, due = 0, 0, time.monotonic() + 60 * arguments.minutes
            while time.monotonic() < due:
                content = spoilt(rng.choice(seeds) if rng.random() < 0.3 else good, rng)
                files += 1
                try:
                    refused += is_refused(kind, Path(folder), content, good)
                except Exception as error:
                    says = f"{type(error).__name__}: {error}"
                    if (sort := re.sub(r"\d|0x\w+|\W", "", says)[:60]) in known:  # one of each sort is kept
                        continue
                    known.add(sort)
                    CORPUS.mkdir(exist_ok=True)
                    found = CORPUS / f"{kind}-{hashlib.sha256(content).hexdigest()[:12]}"
                    found.write_bytes(content)
                    kept += 1
                    print(f"{found}: {says:.300}", flush=True)
        print(f"{kind:8} {files:,} files, {refused:,} refused", flush=True)
    sys.exit(kept > 0)


if __name__ == "__main__":
    main()
