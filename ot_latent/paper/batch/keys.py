"""What a run depends on, as a hash: notebook, parameters, our source, its dependencies, weights, and data sets."""

import json
import platform
from collections.abc import Mapping
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import ot_latent
from ot_latent.datasets import files
from ot_latent.datasets.catalogue import DATASETS

_LIBRARY = Path(ot_latent.__file__).parent
_COMPUTE = ("numpy", "scipy", "torch", "POT", "matplotlib", "papermill", "ipykernel")
_PLACES = ("figures_dir", "data_dir")  # where something lies changes no result


def versions() -> dict[str, str]:
    """Versions of what computes, by name; ours with the hash of its source, for a checkout is edited."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in _COMPUTE:
        try:
            found[name] = version(name).split("+")[0]
        except PackageNotFoundError:
            found[name] = "not installed"
    return found | {"ot-latent": f"{ot_latent.__version__}, source {_tree(_LIBRARY)[:12]}"}


def differences(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """What differs between the versions here and there, as text; empty where nothing does.

    >>> differences({"numpy": "2.4", "torch": "2.13"}, {"numpy": "2.3", "torch": "2.13"})
    'numpy 2.3, here 2.4'
    """
    both = ours.keys() & theirs.keys()
    return "; ".join(f"{name} {theirs[name]}, here {ours[name]}" for name in sorted(both) if theirs[name] != ours[name])


def inputs(ours: Mapping[str, str], data_dir: str | Path | None) -> str:
    """Hash of what all runs of a batch depend on: versions, what ships in ``data``, and the user's own data sets.

    Official files of data sets are known by the hashes of the catalogue, which is part of our source and by which
    they are verified; of others, size and time of change tell.
    """
    own = [(name, source) for name in sorted(DATASETS) for source in DATASETS[name].sources]
    places = [files.locate(name, data_dir)[source] for name, source in own]
    stamps = [(path.name, (status := path.stat()).st_size, status.st_mtime_ns) for path in places if path]
    return digest([dict(ours), _tree(_LIBRARY.parent / "data"), stamps])


def key(source: Path, parameters: Mapping[str, Any], shared: str) -> str:
    """Hash of all that a run depends on: the code of its notebook, its parameters, and `inputs`."""
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return digest([code, {name: value for name, value in parameters.items() if name not in _PLACES}, shared])


def digest(value: Any) -> str:
    """Hash of what JSON can hold, whatever the order of its keys."""
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _tree(folder: Path) -> str:
    """Hash of the files below a folder, with their names; of none where there is no folder."""
    tree = sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix not in (".pyc", ".lock") and not path.name.startswith("."):
            tree.update(f"{path.relative_to(folder).as_posix()} {sha256(path.read_bytes()).hexdigest()}\n".encode())
    return tree.hexdigest()
