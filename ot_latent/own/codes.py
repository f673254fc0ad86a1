"""Codes of somebody's own encoder: a map from noise to them, new ones, and a report."""

import shutil
from pathlib import Path

import numpy as np

from ot_latent._storage import locked, write_atomically
from ot_latent.latent_transport import LatentTransport
from ot_latent.own import report
from ot_latent.own.plan import FEWEST, ITERATIONS, Split, transport
from ot_latent.saved import save
from ot_latent.training.devices import resolve_device

_WIDEST, _MOST, _SAMPLES = 2_048, 50_000, 10_000


def fit_codes(
    source: str | Path, out: str | Path, *, iterations: int = ITERATIONS, seed: int = 0, device: str = "auto"
) -> LatentTransport:
    """Fit the map from Gaussian noise to codes of your own encoder, and write it with samples and a report.

    Every tenth code, up to a thousand, is held out for the report, and 50,000 others at most are fitted. A call that
    was killed goes on.

    Parameters
    ----------
    source : path
        A ``.npy`` file of real numbers, (n, d) with n at least 64 and d at most 2,048, which is memory-mapped.
    out : path
        Folder for ``model.safetensors``, which `ot_latent.load` reads, ``samples.npy`` with 10,000 new codes, and
        ``report.md``.
    iterations : int
        Steps of the map.
    seed : int
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".

    Returns
    -------
    The fitted map; its ``sample(n, rng)`` makes more codes.

    Raises
    ------
    ValueError
        If the file holds something else, or ``out`` the unfinished fit of other codes.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> np.save(folder / "codes.npy", np.random.default_rng(0).standard_normal((200, 2)))
    >>> latent = fit_codes(folder / "codes.npy", folder / "map", iterations=20)
    >>> np.load(folder / "map" / "samples.npy").shape
    (10000, 2)
    """
    path, folder = Path(source), Path(out)
    fitted, held_out = Split.of(_codes(path), seed, _MOST)
    latent = transport(iterations, seed, resolve_device(device))
    with locked(folder / "fit"):
        latent.fit(fitted, folder / "unfinished")
        words = report.code_words(report.code_scores(latent, fitted, held_out))
        text = (
            f"# A map to the codes of {path.name}\n\n{len(fitted):,} codes in {fitted.shape[1]} dimensions were "
            f"fitted. Against {len(held_out):,} that were held out:\n\n{report.listed(words)}"
        )
        samples = latent.sample(_SAMPLES, rng=seed).numpy(force=True)
        write_atomically(folder / "samples.npy", lambda path: _write(path, samples))
        write_atomically(folder / "report.md", text)
        save(latent, folder)
        shutil.rmtree(folder / "unfinished", ignore_errors=True)
    return latent


def _codes(path: Path) -> np.ndarray:
    """The codes of a file, memory-mapped."""
    try:
        codes = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is no .npy file of numbers: {error}") from error
    if codes.ndim != 2 or codes.dtype.kind not in "fiu" or len(codes) < FEWEST or not 0 < codes.shape[1] <= _WIDEST:
        wanted = f"real numbers of shape (n, d), n at least {FEWEST} and d at most {_WIDEST:,}"
        raise ValueError(f"{path} holds {codes.dtype} of shape {codes.shape}, expected {wanted}")
    return codes


def _write(path: Path, samples: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, samples)
