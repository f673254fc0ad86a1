"""Data sets: how fast images are decoded, once, and read from then on, and how much memory that takes.

The images are made here, smooth pictures with some noise, in the official layouts and about as many
bytes each as the official ones. Files lie in the system's cache, as after a first reading. Prints the
tables and writes them to benchmarks/datasets.md.

    python benchmarks/datasets.py               # minutes
    python benchmarks/datasets.py --n 200       # a look

Sources that need the extra `data` (LMDB, HDF5) are left out without it.
"""

# ruff: noqa: B023 - functions are timed within the loop that binds their variables

import argparse
import functools
import hashlib
import io
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings
import zipfile

import numpy as np
import torch
from _report import fastest, table, write
from PIL import Image

from ot_latent import datasets
from ot_latent.models import autoencoders

OUT = pathlib.Path(__file__).with_suffix(".md")
DIFFERENT = 200  # pictures; files repeat them under other names
BATCH = 64  # as the recipes of faces have it


def seconds(run):
    """Of the fastest of three runs."""
    return fastest({"it": run})["it"]


@functools.cache
def pictures(count, width, height, kind, **options):
    """Encoded pictures."""
    rng = np.random.default_rng(0)
    encoded = []
    for _ in range(count):
        small = Image.fromarray(rng.integers(0, 256, (12, 10, 3), np.uint8))
        smooth = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), float)
        noisy = (smooth + 8 * rng.standard_normal(smooth.shape)).clip(0, 255)
        stream = io.BytesIO()
        Image.fromarray(noisy.astype(np.uint8)).save(stream, kind, **options)
        encoded.append(stream.getvalue())
    return encoded


def make_celeba_zip(root, n):
    faces = pictures(min(n, DIFFERENT), 178, 218, "JPEG", quality=60)
    path = root / "celeba" / "img_align_celeba.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(n):
            archive.writestr(f"img_align_celeba/{i + 1:06}.jpg", faces[i % len(faces)])


def make_celeba_folder(root, n):
    faces = pictures(min(n, DIFFERENT), 178, 218, "JPEG", quality=60)
    folder = root / "celeba" / "img_align_celeba"
    folder.mkdir(parents=True)
    for i in range(n):
        (folder / f"{i + 1:06}.jpg").write_bytes(faces[i % len(faces)])


def make_lsun(root, n):
    import lmdb

    rooms = pictures(min(n, DIFFERENT), 341, 256, "WEBP", quality=60)
    folder = root / "lsun_bedrooms" / "bedroom_train_lmdb"
    folder.parent.mkdir(parents=True)
    with lmdb.open(str(folder), map_size=2**34) as database, database.begin(write=True) as store:
        for i in range(n):
            store.put(hashlib.sha1(str(i).encode()).hexdigest().encode(), rooms[i % len(rooms)])


def make_lld(root, n):
    import h5py

    path = root / "lld_icons" / "LLD-icon.hdf5"
    path.parent.mkdir(parents=True)
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", (n, 3, 32, 32), np.uint8)
        for first in range(0, n, 1000):
            rows = min(1000, n - first)
            data[first : first + rows] = rng.integers(0, 256, (rows, 3, 32, 32), np.uint8)


#: title: how to make the files, how many times n images, and the loader's call
SOURCES = {
    "CelebA, zip, 128": (make_celeba_zip, 1, "celeba(128, partial=True)"),
    "CelebA, folder, 128": (make_celeba_folder, 1, "celeba(128, partial=True)"),
    "CelebA, zip, 64": (make_celeba_zip, 1, "celeba(64, partial=True)"),
    "LSUN, LMDB of WebP, 64": (make_lsun, 0.5, "lsun_bedrooms(64, partial=True)"),
    "LLD, HDF5, 32": (make_lld, 10, "lld_icons()"),
}


def installed(title):
    try:
        __import__({"LSUN": "lmdb", "LLD,": "h5py"}.get(title.split()[0].rstrip(","), "PIL"))
    except ImportError:
        return False
    return True


def load(call, root, cache="cache"):
    """Call a loader with its data in one folder and its cache in the same."""
    os.environ |= {"OT_LATENT_DATA": str(root), "XDG_CACHE_HOME": str(root / cache)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", datasets.PartialDataWarning)
        return eval(f"datasets.{call}", {"datasets": datasets})


def each_epoch_anew(root, size):
    """The loop of a common image-folder loader: open, crop, resize, one image after the other."""
    for path in sorted((root / "celeba" / "img_align_celeba").iterdir()):
        with Image.open(path) as image:
            face = image.convert("RGB").crop((19, 39, 159, 179))
        np.asarray(face.resize((size, size), Image.Resampling.LANCZOS))


def decoding(n):
    """Images a second the first time, with one thread a core; of a plain loop in one thread; and
    seconds of the call when all is decoded, in which a folder's files are looked over for changes."""
    rows = []
    for title, (make, share, call) in SOURCES.items():
        if not installed(title):
            continue
        with tempfile.TemporaryDirectory() as name:
            root, count = pathlib.Path(name), max(1, int(n * share))
            make(root, count)
            size = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
            caches = iter(("cache", "cache2", "cache3"))
            runs = {"ours": lambda: load(call, root, next(caches))}
            if make is make_celeba_folder:
                runs["plain"] = lambda: each_epoch_anew(root, 128)
            times = fastest(runs)
            images = load(call, root)
            again = seconds(lambda: load(call, root))
            rows.append(
                [
                    title,
                    f"{count:,}",
                    f"{size / count / 1000:.1f}",
                    f"{count / times['ours']:,.0f}",
                    f"{count / times['plain']:,.0f}" if "plain" in times else "-",
                    f"{images.nbytes / count / 1000:.1f}",
                    f"{again:.3f}",
                ]
            )
    header = ["source", "images", "kB each", "decoded, images/s", "plain loop, images/s"]
    return table([*header, "kB each, decoded", "call when decoded, s"], rows)


def appetite(images):
    """Images a second that the library's auto-encoder trains on, at 64x64 grey."""
    count = max(1, min(10, len(images) // BATCH))
    torch.manual_seed(0)
    model = autoencoders.Autoencoder().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters())
    batch = datasets.to_square(images[:BATCH])

    def steps():
        for _ in range(count):
            optimizer.zero_grad()
            model.loss(batch)["loss"].backward()
            optimizer.step()

    steps()
    return count * len(batch) / seconds(steps)


def shuffled(images):
    """Batches of 64 in random order, as training takes them."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return order.split(BATCH)


def reading(n):
    """Images a second in shuffled batches of 64: as bytes (what a GPU is given, `to_square(...,
    device=)` converts there), and as the float tensor that a network on the CPU is given. The last
    column is that tensor's rate over the rate at which the library's auto-encoder (64x64 grey,
    batch 64) trains on this machine's CPU. One thread each."""
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        make_celeba_folder(root, n)
        folder = root / "celeba" / "img_align_celeba"
        os.environ["XDG_CACHE_HOME"] = str(root / "cache")
        hungry = None
        for title, settings in {
            "64x64 grey": {"size": 64, "grey": True},
            "64x64": {"size": 64},
            "128x128": {"size": 128},
        }.items():
            images = datasets.image_folder(folder, crop=140, **settings)
            hungry = hungry or appetite(images)
            as_bytes = seconds(lambda: [images[rows] for rows in shuffled(images)])
            size = settings["size"]
            floats = seconds(lambda: [datasets.to_square(images[rows], size) is None for rows in shuffled(images)])
            rates = len(images) / as_bytes, len(images) / floats
            meals = f"{rates[1] / hungry:.0f}" if title == "64x64 grey" else "-"
            shown = f"{rates[0]:,.0f}", f"{images.nbytes / as_bytes / 1e9:.1f}", f"{rates[1]:,.0f}"
            rows.append([title, f"{len(images):,}", *shown, meals])
    header = ["images", "count", "bytes, images/s", "GB/s", "float tensor, images/s"]
    text = table([*header, "over the model's rate"], rows)
    return f"The model trains on {hungry:,.0f} images/s.\n\n{text}"


# The kernel's own record of the highest resident memory; getrusage's survives the parent's exec.
PEAK = """
import re, warnings
from ot_latent import datasets
from ot_latent.datasets import loaders
import PIL.Image, numpy.lib.format
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status", encoding="utf-8").read())[1])
warnings.simplefilter("ignore", datasets.PartialDataWarning)
before = peak()
datasets.{call}
print((peak() - before) / 1024)
"""


def memory(n):
    """Growth of the peak resident memory of a process that decodes, MB, for n images and for four
    times as many. A zip's table of contents and the names in one folder are in memory, some hundred
    bytes an image; the images are not."""
    rows = []
    for title, (make, share, call) in SOURCES.items():
        if not installed(title):
            continue
        peaks = []
        for count in (max(1, int(n * share)), 4 * max(1, int(n * share))):
            with tempfile.TemporaryDirectory() as name:
                make(pathlib.Path(name), count)
                command = [sys.executable, "-c", PEAK.format(call=call)]
                places = {"OT_LATENT_DATA": name, "XDG_CACHE_HOME": f"{name}/cache"}
                printed = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | places)
                decoded = next(pathlib.Path(name).glob("cache/*/decoded/*.npy")).stat().st_size
            peaks += [f"{count:,}", f"{decoded / 1e6:,.0f}", f"{float(printed.stdout):.0f}"]
        rows.append([title, *peaks])
    header = ["source", *["images", "decoded, MB", "peak, MB"] * 2]
    return table(header, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=4000, help="images (default: %(default)s)")
    parser.add_argument("--out", type=pathlib.Path, default=OUT, help="default: %(default)s")
    arguments = parser.parse_args()
    sections = {"Decoding, once": decoding, "Reading, from then on": reading, "Memory while decoding": memory}
    text = f"# Data sets: {arguments.n:,} images, {os.cpu_count()} cores\n\n"
    text += "Made by `python benchmarks/datasets.py`, from images that it makes itself.\n"
    write(arguments.out, text, sections, arguments.n)


if __name__ == "__main__":
    main()
