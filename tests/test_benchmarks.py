"""Benchmarks run, at a tiny size; how fast is nobody's business here."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_operations(tmp_path):
    out = tmp_path / "operations.md"
    script = ROOT / "benchmarks" / "operations.py"
    command = [sys.executable, str(script), "--n", "200", "--d", "4", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    text = out.read_text()
    for section in ("raw sum", "Memory", "scipy", "different t", "lolatents", "slerps"):
        assert section in text
    # the copied slerps are as wrong as the table says, ours is not
    rows = {line.split(" | ")[0]: line.split(" | ") for line in text.splitlines() if " | " in line}
    assert float(rows["| `otl.slerp`"][2]) < 1e-5 < float(rows["| ends reversed"][2])
    assert rows["| through numpy"][3] == "no" and rows["| `otl.slerp`"][3] == "yes"


def test_minibatch(tmp_path):
    out = tmp_path / "minibatch.md"
    script = ROOT / "benchmarks" / "minibatch.py"
    command = [sys.executable, str(script), "--quick", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    text = out.read_text()
    for section in ("network's step", "Two threads", "A long run", "constant of each batch"):
        assert section in text
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| Gaussian")]
    assert len(rows) == 4 and all(0 < float(row[2]) < 10 for row in rows)


def test_datasets(tmp_path):
    out = tmp_path / "datasets.md"
    script = ROOT / "benchmarks" / "datasets.py"
    command = [sys.executable, str(script), "--n", "20", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    rows = [line.split(" | ") for line in out.read_text().splitlines() if line.startswith("| ")]
    # every source is decoded, once more for memory; images are read at three sizes
    assert [row[0] for row in rows].count("| CelebA, zip, 128") == 2
    assert [row[0] for row in rows].count("| LLD, HDF5, 32") == 2
    assert {row[0] for row in rows} >= {"| 64x64 grey", "| 64x64", "| 128x128"}
    rates = [
        float(cell.replace(",", "")) for row in rows if "128x128" in row[0] for cell in row[2:5]
    ]
    assert min(rates) > 0


def test_semidiscrete(tmp_path):
    out = tmp_path / "semidiscrete.md"
    script = ROOT / "benchmarks" / "semidiscrete.py"
    command = [sys.executable, str(script), "--normal", "--sizes", "200:0.1", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    fit = next(line for line in out.read_text().splitlines() if line.startswith("| 200 |"))
    _, tolerance, certified, _, _, error, *_ = fit.split(" | ")
    assert certified == "yes" and float(error.split()[0]) < float(tolerance)


def test_scores(tmp_path):
    out = tmp_path / "scores.md"
    script = ROOT / "benchmarks" / "scores.py"
    command = [sys.executable, str(script), "--n", "320", "--features", "32", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    rows = [line.split(" | ") for line in out.read_text().splitlines() if line.startswith("| ")]
    (frechet,) = (row for row in rows if row[:2] == ["| FID, 32", "scipy's sqrtm"])
    assert float(frechet[2]) < 1e-6
    # at a third of the bias, or less, is what is left of it
    (bias,) = (row for row in rows if row[0] == "| 320")
    fid, stated, rest = (float(cell.strip(" |")) for cell in bias[1:])
    assert abs(rest) < fid / 3 and stated > 0


def test_training(tmp_path):
    out = tmp_path / "training.md"
    script = ROOT / "benchmarks" / "training.py"
    command = [sys.executable, str(script), "--steps", "1", "--batch", "2", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    rows = [line.split(" | ") for line in out.read_text().splitlines() if line.startswith("| ")]
    kinds = {row[0].removeprefix("| ") for row in rows[2:]}
    assert kinds == {"Autoencoder", "VAE", "POT", "WAEMMD", "AVB", "DCGAN", "WGANGP"}
    assert all(float(cell.replace(",", "")) > 0 for row in rows[2:] for cell in row[2:4])
