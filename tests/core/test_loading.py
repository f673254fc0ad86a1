"""What a first call loads: a few modules of ours, torch only where networks are, matplotlib never."""

import subprocess
import sys

OPERATION = """
import numpy, sys
import ot_latent as otl
z = otl.Uniform(-1, 1).sample((2, 5, 3), rng=0)
otl.interpolate(z[0], z[1], 0.5, prior=otl.Uniform(-1, 1))
"""

TRANSPORT = """
import sys
import ot_latent as otl
otl.LatentTransport()
"""


def loaded(code):
    """The names of all modules that a fresh interpreter has after `code`, and those of ours."""
    shown = code + "print(*sys.modules)"
    names = subprocess.run([sys.executable, "-c", shown], check=True, capture_output=True, text=True).stdout.split()
    return set(names), [name for name in names if name == "ot_latent" or name.startswith("ot_latent.")]


def test_an_operation_loads_ten_modules_at_most_and_neither_torch_nor_matplotlib():
    everything, ours = loaded(OPERATION)
    assert len(ours) <= 10, ours
    assert not {"torch", "matplotlib", "scipy.stats"} & everything


def test_the_transport_loads_few_modules_and_no_generative_model():
    everything, ours = loaded(TRANSPORT)
    assert len(ours) <= 22, ours
    assert "matplotlib" not in everything
    assert not [name for name in ours if "gans" in name or "training" in name]
