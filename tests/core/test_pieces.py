"""Large arrays are worked on in pieces, and nothing shows it: values, gradients, memory, errors."""

import threading

import numpy as np
import pytest
import scipy.stats as st
import torch

import ot_latent as otl
from ot_latent._arrays import limits, side_by_side

PRIORS = [otl.Gaussian(1, 2), otl.Uniform(-1, 3), otl.ScipyPrior(st.gamma(2)), otl.Sphere(6)]
EACH = pytest.mark.parametrize("prior", PRIORS, ids=repr)
# t for points of shape (5, 7, 6): one for all, one for each row, a path in front, one for each number
TS = {"one": 0.3, "rows": np.linspace(0, 1, 7)[:, None], "path": np.linspace(-0.2, 1, 4)[:, None, None, None]}


@pytest.fixture
def tiny_pieces(monkeypatch):
    monkeypatch.setattr(limits, "numpy_piece", 100)
    monkeypatch.setattr(limits, "torch_piece", 100)
    monkeypatch.setattr(limits, "points", 10)
    monkeypatch.setattr(limits, "threads", 3)


@EACH
@pytest.mark.parametrize("t", TS.values(), ids=TS)
@pytest.mark.parametrize("like", [None, torch.zeros((), dtype=torch.float64)], ids=["np", "torch"])
def test_pieces_do_not_show(prior, t, like, tiny_pieces):
    z1, z2 = prior.sample((2, 5, 7, 6), rng=0, like=like)
    in_pieces = otl.interpolate(z1, z2, t, prior=prior)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "numpy_piece", 10**9)
        patch.setattr(limits, "torch_piece", 10**9)
        whole = otl.interpolate(z1, z2, t, prior=prior)
    assert in_pieces.shape == whole.shape
    np.testing.assert_allclose(in_pieces, whole, rtol=1e-12, atol=1e-12)


@EACH
def test_gradients_flow_through_pieces(prior, tiny_pieces):
    like = torch.zeros((), dtype=torch.float64)
    z1, z2 = (z.requires_grad_() for z in prior.sample((2, 5, 6), rng=0, like=like))

    def matched(z1, z2):
        return otl.interpolate(z1, z2, 0.3, prior=prior)

    assert torch.autograd.gradcheck(matched, (z1, z2), atol=1e-4)


@pytest.mark.parametrize("prior", PRIORS[:2], ids=repr)
def test_closed_forms_work_under_vmap_compile_and_forward_mode(prior):
    z1, z2 = prior.sample((2, 5, 6), rng=0, like=torch.zeros((), dtype=torch.float64))

    def matched(z1, z2):
        return otl.interpolate(z1, z2, 0.3, prior=prior)

    expected = matched(z1, z2)
    assert torch.equal(torch.func.vmap(matched)(z1, z2), expected)
    torch.testing.assert_close(torch.compile(matched, backend="eager")(z1, z2), expected)
    _, forward = torch.func.jvp(matched, (z1, z2), (torch.ones_like(z1), torch.ones_like(z2)))
    slope = otl.monotone_map(prior.combine([0.3, 0.7]), prior).derivative(0.3 * z1 + 0.7 * z2)
    torch.testing.assert_close(forward, slope)


def test_an_error_in_one_task_reaches_the_caller_and_leaves_no_thread(tiny_pieces):
    before = threading.active_count()

    def broken(number):
        if number == 7:
            raise RuntimeError("in a task")

    with pytest.raises(RuntimeError, match="in a task"):
        side_by_side(broken, [(i,) for i in range(100)])
    assert threading.active_count() == before
