"""What all tests share."""

import json
import signal
from pathlib import Path

import pytest
from hypothesis import settings

collect_ignore = ["user_script.py"]  # is checked by mypy, and holds no test

# The same examples on every machine, and no deadline: machines differ in speed.
settings.register_profile("ot-latent", derandomize=True, deadline=None)
settings.load_profile("ot-latent")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache of its own, where `datasets.cache_dir` is."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "ot_latent"


@pytest.fixture
def empty_data(tmp_path, monkeypatch, cache) -> Path:
    """An empty data folder of its own, as $OT_LATENT_DATA, and an empty cache."""
    monkeypatch.setenv("OT_LATENT_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


class Workshop:
    """A place of its own for training at `smoke`, on few images."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.build = folder, folder / "build"

    def train(self, name: str, scale: str = "smoke", images: int = 512, **settings) -> Path:
        """Weights of a recipe, trained on so many images, in float32 if nothing else is asked for.

        Processors without instructions for bfloat16 take up to eight times as long in it.
        """
        from ot_latent import training

        if isinstance(training.RECIPES.get(name), training.Recipe):
            settings = {"precision": "float32"} | settings
        return training.train(name, scale, **{"build": self.build, "images": images} | settings)

    def run(self, name: str) -> Path:
        """The folder of a run's states and log."""
        from ot_latent import training

        return training.run_folder(name, "smoke", 0, self.build)

    def log(self, name: str) -> list[dict]:
        """The lines of a run's log."""
        return [json.loads(line) for line in (self.run(name) / "log.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture
def ctrl_c():
    """Ctrl-C raises KeyboardInterrupt, also where the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def workshop(tmp_path):
    return Workshop(tmp_path)
