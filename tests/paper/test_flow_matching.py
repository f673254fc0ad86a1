"""Flow matching: what a flow learns is the coupling's mean velocity, and straight lines take one step."""

import pytest
import torch

import ot_latent as otl
from ot_latent.paper.flow_matching import Flow, curvature, train

CODES = torch.tensor([[-2.0, 0.0], [2.0, 0.0]])


def independent(n, rng):
    return torch.randn(n, 2, generator=rng), CODES[torch.randint(2, (n,), generator=rng)]


@pytest.fixture(scope="module")
def trained():
    ot = otl.SemiDiscreteOT().fit(CODES)

    def exact(n, rng):
        z, index = ot.pair(n, rng)
        return z, CODES[index]

    return {draw.__name__: train(draw, 2, 300, 0, width=32) for draw in (independent, exact)}


def test_exact_pairs_give_straight_paths_and_one_step_is_enough(trained):
    z = torch.randn(400, 2, generator=torch.Generator().manual_seed(1))
    bent, straight = (trained[name].flow.path(z, 16) for name in ("independent", "exact"))
    assert curvature(straight) < 0.2 < curvature(bent)
    assert trained["exact"].loss < 0.5 * trained["independent"].loss
    once = {name: trained[name].flow.path(z, 1)[-1] for name in trained}
    far = z[:, 0].abs() > 0.3  # where the map has no jump
    assert (once["exact"] - CODES[(z[:, 0] > 0).long()])[far].norm(dim=1).median() < 0.4
    assert once["independent"].norm(dim=1).median() < 1  # the mean of the codes


def test_the_same_seed_gives_the_same_flow_and_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two, other = (train(independent, 2, 3, seed).flow for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    t, x = torch.zeros(4, 1), torch.ones(4, 2)
    assert torch.equal(one(t, x), two(t, x)) and not torch.equal(one(t, x), other(t, x))


def test_a_path_starts_at_the_noise():
    z = torch.randn(5, 3)
    path = Flow(3, 8).path(z, 4)
    assert path.shape == (5, 5, 3) and torch.equal(path[0], z) and not path.requires_grad
    assert curvature(torch.stack([z, 2 * z, 3 * z])) == pytest.approx(0, abs=1e-10)
