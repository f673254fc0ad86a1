"""Benchmarks run, at a tiny size; how fast is nobody's business here."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def report(folder, name, *options):
    """What the script of this name writes, which is told to do little."""
    out = folder / f"{name}.md"
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *options, "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    return out.read_text(encoding="utf-8")


def test_the_readme_is_what_the_reports_say():
    command = [sys.executable, "-c", "import readme; print(readme.readme(), end='')"]
    run = subprocess.run(command, check=True, capture_output=True, cwd=ROOT / "benchmarks")
    assert run.stdout.decode() == (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert run.stdout.decode().count("\n| --- |") >= 4


def test_operations(tmp_path):
    text = report(tmp_path, "operations", "--n", "200", "--d", "4")
    for section in ("raw sum", "Memory", "scipy", "lolatents", "slerps"):
        assert section in text
    # the copied slerps are as wrong as the table says, ours is not
    rows = {line.split(" | ")[0]: line.split(" | ") for line in text.splitlines() if " | " in line}
    assert float(rows["| `otl.slerp`"][2]) < 1e-5 < float(rows["| ends reversed"][2])
    assert rows["| through numpy"][3] == "no" and rows["| `otl.slerp`"][3] == "yes"


def test_priors(tmp_path):
    rows = [line.strip("| ").split(" | ") for line in report(tmp_path, "priors", "--part", "500").splitlines()[6:]]
    measured = [row for row in rows if len(row) == 4 and row[1].replace(".", "").isdigit()]
    threads = [row for row in rows if row[0] in ("idle", "busy")]
    assert len(threads) == 6 and all(float(row[4]) > 0 for row in threads)
    assert len(measured) == 19 and all(float(row[1]) > 0 for row in measured)


def test_generators(tmp_path):
    lines = report(tmp_path, "generators", "--n", "200", "--points", "1_000").splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    change = {(row[0], row[1]): float(row[4]) for row in rows[2:]}
    generators = {generator for generator, _ in change}
    assert len(generators) == 5
    for generator in generators:
        # (√2 - 1)² / 2 of the variance for normal points; a tenth of it for uniform ones
        least = 0.1 if "uniform" in generator else (2**0.5 - 1) ** 2 / 2
        assert change[generator, "raw mean"] == 0
        assert change[generator, "matched"] == pytest.approx(least, rel=0.03)


def test_minibatch(tmp_path):
    text = report(tmp_path, "minibatch", "--quick")
    for section in ("network's step", "Two threads", "A long run", "constant of each batch"):
        assert section in text
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| Gaussian")]
    assert len(rows) == 4 and all(0 < float(row[2]) < 10 for row in rows)


def test_mnist_aeot(tmp_path):
    text = report(tmp_path, "mnist_aeot", "--fits", "8:2", "--n", "300")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    best, sixty_four, eight, all_codes = [row for row in rows if len(row) == 6][2:6]
    # the decoder's own reconstructions are the measure; a map fitted in two steps is far off
    assert best[4].startswith("1.000") and best[5].startswith("1.000")
    assert float(eight[3]) > float(sixty_four[3]) > float(all_codes[3])


def test_datasets(tmp_path):
    text = report(tmp_path, "datasets", "--n", "20")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    # every source is decoded, once more for memory; images are read at three sizes
    assert [row[0] for row in rows].count("| CelebA, zip, 128") == 2
    assert [row[0] for row in rows].count("| LLD, HDF5, 32") == 2
    assert {row[0] for row in rows} >= {"| 64x64 grey", "| 64x64", "| 128x128"}
    rates = [float(cell.replace(",", "")) for row in rows if "128x128" in row[0] for cell in row[2:5]]
    assert min(rates) > 0


def test_semidiscrete(tmp_path):
    text = report(tmp_path, "semidiscrete", "--sizes", "200:0.1:10")
    fit = next(line for line in text.splitlines() if line.startswith("| normal"))
    _, n, tolerance, certified, _, _, error, *_ = fit.split(" | ")
    assert n == "200"
    assert certified == "yes" and float(error.split()[0]) < float(tolerance)


def test_couplings(tmp_path):
    text = report(tmp_path, "couplings", "--quick")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    pairs = [row for row in rows if row[0] == "300"]
    assert [row[2] for row in pairs] == ["32", "64"]
    assert all(float(cell) > 0 for row in pairs for cell in row[3:-1])
    assert {row[0] for row in rows} >= {"independent", "minibatch", "semi-discrete"}


def test_scores(tmp_path):
    text = report(tmp_path, "scores", "--n", "320", "--features", "32")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    (frechet,) = (row for row in rows if row[:2] == ["| FID, 32", "scipy's sqrtm"])
    assert float(frechet[2]) < 1e-6
    # at a third of the bias, or less, is what is left of it
    (bias,) = (row for row in rows if row[0] == "| 320")
    fid, stated, rest = (float(cell.strip(" |")) for cell in bias[1:])
    assert abs(rest) < fid / 3 and stated > 0


def test_codes(tmp_path):
    text = report(tmp_path, "codes", "--quick", "--sets", "digits")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    kinds = "linear", "a Gaussian fitted to the codes", "matched, stored codes"
    spread = [float(row[4]) for kind in kinds for row in rows if len(row) == 7 and row[0] == kind]
    assert len(spread) == 3 and spread[0] < 0.6 < 0.9 < min(spread[1:]) and max(spread) < 1.2
    ends_kept = {row[0]: row[1] for row in rows if len(row) == 6}
    assert ends_kept["matched, stored codes"] == ends_kept["matched, new codes"] == "yes"


def test_training(tmp_path):
    text = report(tmp_path, "training", "--steps", "1", "--batch", "2", "--width", "4")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    kinds = {row[0].removeprefix("| ") for row in rows[2:]}
    assert kinds == {"Autoencoder", "VAE", "WAEGAN", "WAEMMD", "AVB", "DCGAN", "WGANGP"}
    assert all(float(cell.replace(",", "")) > 0 for row in rows[2:] for cell in row[2:4])


def test_batch(tmp_path):
    text = report(tmp_path, "batch", "--notebooks", "1", "--work", "0")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith(("| processes", "| dask"))]
    assert [row[:2] for row in rows] == [["processes", "1"], ["dask", "1"], ["processes", "2"], ["dask", "2"]]
    assert "| a task, bytes | " in text and "| 100 | 20 | " in text
