"""Fits of the map to codes: whose they are, side by side, interrupted, and codes of every kind."""

import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import ot_latent as otl
from ot_latent import brenier, latent_transport
from ot_latent.brenier import Potential

CODES = np.random.default_rng(0).standard_normal((100, 2)).astype(np.float32)
NOISE = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))


def small(method="minibatch", **changes):
    settings = {"batch": 16, "iterations": 13, "width": 16, "layers": 3, "tolerance": 0.3}
    return otl.LatentTransport(method, **settings | changes)


def weights(latent):
    return torch.cat([value.flatten() for value in latent.potential_.state_dict().values()])


def test_weights_of_a_seed_are_those_that_torch_draws_for_it():
    torch.manual_seed(3)
    expected = Potential(5, layers=4, width=8).state_dict()
    before = torch.random.get_rng_state()
    found = Potential.seeded(3, dim=5, layers=4, width=8)
    assert all(torch.equal(expected[name], value) for name, value in found.state_dict().items())
    assert found.config == {"dim": 5, "layers": 4, "width": 8, "slope": 0.2}
    assert torch.equal(torch.random.get_rng_state(), before)


def test_fits_side_by_side_are_those_alone_and_leave_torchs_generator_alone():
    before = torch.random.get_rng_state()
    alone = [weights(small(random_state=seed).fit(CODES)) for seed in range(4)]
    assert torch.equal(torch.random.get_rng_state(), before)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: weights(small(random_state=seed % 4).fit(CODES)), range(12)))
    assert all(torch.equal(alone[number % 4], found) for number, found in enumerate(together))


@pytest.mark.parametrize("flushes", [False, True])
def test_a_fit_leaves_denormal_numbers_as_they_were(flushes):
    torch.set_flush_denormal(flushes)
    try:
        small().fit(CODES)
        assert (sys.float_info.min / 2 == 0) == flushes
        assert (torch.full((200_000,), 1e-40) / 2 == 0).all() == flushes  # in all threads of torch
    finally:
        torch.set_flush_denormal(False)


def test_a_resumed_fit_knows_its_codes(tmp_path):
    """Codes in another order have the same mean and deviation; so have swiss roll and eight Gaussians, standardised."""
    (tmp_path / ".env").write_text("kept", encoding="utf-8")
    fitted = small().fit(CODES, tmp_path)
    with pytest.raises(ValueError, match="other settings: codes was"):
        small().fit(CODES[::-1], tmp_path)
    assert torch.equal(weights(small().fit(torch.tensor(CODES), tmp_path)), weights(fitted))
    assert (tmp_path / ".env").read_text(encoding="utf-8") == "kept"


def test_a_resumed_regression_knows_its_points_and_its_network(tmp_path):
    points, phi = NOISE, NOISE.sum(1)

    def fit(points, phi, **config):
        potential = Potential.seeded(0, **{"dim": 2, "layers": 2, "width": 8} | config)
        return brenier.fit_potential(potential, points, phi, 10, 1e-3, resume=tmp_path)

    fit(points, phi)
    for other in ((points.flip(0), phi), (points, phi.flip(0))):
        with pytest.raises(ValueError, match="other settings: data was"):
            fit(*other)
    with pytest.raises(ValueError, match="other settings: potential was"):
        fit(points, phi, slope=0.3)


def test_two_fits_in_one_folder_take_turns(tmp_path):
    alone = weights(small().fit(CODES))
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: weights(small().fit(CODES, tmp_path, save_seconds=0)), range(2)))
    assert all(torch.equal(alone, found) for found in both)


@pytest.mark.parametrize("how", ["signal", "error"])
@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_loses_nothing(tmp_path, monkeypatch, how):
    unbroken, loss, calls = weights(small().fit(CODES)), latent_transport.regression_loss, iter(range(8))

    def interrupted(*arguments, **settings):
        if next(calls, None) == 6:
            signal.raise_signal(signal.SIGINT) if how == "signal" else (_ for _ in ()).throw(KeyboardInterrupt)
        return loss(*arguments, **settings)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(latent_transport, "regression_loss", interrupted)
        small().fit(CODES, tmp_path)
    # a signal waits for the seventh step; an error before weights move leaves six
    [state] = tmp_path.glob("state-*")
    assert state.name == f"state-{7 if how == 'signal' else 6:09d}.safetensors"
    assert torch.equal(weights(small().fit(CODES, tmp_path)), unbroken)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("method", ["minibatch", "semidiscrete"])
def test_one_code_and_equal_codes_have_the_constant_map(method):
    for codes in (CODES[:1], np.repeat(CODES[:1], 7, axis=0)):
        moved = small(method).fit(codes).transform(NOISE)
        assert torch.equal(moved, torch.tensor(CODES[:1]).expand(5, 2))


@pytest.mark.parametrize("factor", [2.0**-100, 2.0**83])
@pytest.mark.parametrize("method", ["minibatch", "semidiscrete"])
def test_codes_may_be_tiny_or_huge(method, factor):
    """A power of two changes no digit; squares of these numbers are out of single precision's range."""
    expected = small(method).fit(CODES).transform(NOISE)
    assert torch.equal(small(method).fit(factor * CODES).transform(NOISE) / factor, expected)


def test_codes_of_every_kind_are_taken():
    expected = weights(small().fit(CODES))
    for codes in (torch.tensor(CODES, requires_grad=True), CODES.tolist(), CODES.astype(float), CODES[::-1][::-1]):
        assert torch.equal(weights(small().fit(codes)), expected)
    rounded = torch.tensor(CODES).bfloat16()
    assert torch.equal(weights(small().fit(rounded)), weights(small().fit(rounded.float())))
    whole = np.arange(20).reshape(10, 2)
    assert torch.equal(weights(small().fit(whole)), weights(small().fit(whole.astype(float))))


@pytest.mark.parametrize(
    ("codes", "error", "said"),
    [
        (CODES[:0], ValueError, r"not empty; got shape \(0, 2\)"),
        ([], ValueError, r"not empty; got shape \(0,\)"),
        (1e300 * CODES.astype(float), ValueError, "codes must be finite in single precision"),
        (1j * CODES, TypeError, "codes must be .*complex64"),
        (CODES > 0, TypeError, "codes must be .*bool"),
        ([["1", "2"]], TypeError, "codes must be"),
        (np.ma.masked_less(CODES, 0), TypeError, "codes must not be a masked array"),
    ],
)
def test_other_codes_are_refused(codes, error, said):
    with pytest.raises(error, match=said):
        small().fit(codes)


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"iterations": 0}, ValueError, "iterations must be at least 1, got 0"),
        ({"iterations": 2.5}, TypeError, "iterations must be a whole number, got 2.5"),
        ({"layers": 0}, ValueError, "layers must be at least 1, got 0"),
        ({"width": -8}, ValueError, "width must be at least 1, got -8"),
        ({"batch": True}, TypeError, "batch must be a whole number, got True"),
        ({"random_state": -1}, ValueError, "random_state must be at least 0"),
        ({"learning_rate": np.nan}, ValueError, "learning_rate must be positive and finite, got nan"),
        ({"tolerance": 0}, ValueError, "tolerance must be positive"),
        ({"gradient_weight": -1}, ValueError, "gradient_weight must be at least 0 and finite, got -1"),
        ({"device": "cuda:99"}, ValueError, "device must be one that torch finds here, got 'cuda:99'; take 'cpu'"),
    ],
)
def test_settings_without_a_meaning_are_refused(settings, error, said):
    with pytest.raises(error, match=said):
        small(**settings)


def test_counts_and_seconds_are_checked_everywhere():
    with pytest.raises(ValueError, match="save_seconds must be at least 0( and finite)?, got -1"):
        small().fit(CODES, save_seconds=-1)
    with pytest.raises(ValueError, match="layers must be at least 1, got 0"):
        Potential(2, layers=0)
    with pytest.raises(ValueError, match="hidden must be at least 0, got -1"):
        brenier.perceptron(2, 1, hidden=-1)
    with pytest.raises(ValueError, match="iterations must be at least 1, got 0"):
        brenier.fit_potential(Potential(2), NOISE, NOISE.sum(1), 0, 1e-3)
    with pytest.raises(RuntimeError, match="call fit"):
        small().sample(3)
    fitted = small().fit(CODES)
    with pytest.raises(ValueError, match="n must be at least 0, got -1"):
        fitted.sample(-1)
    with pytest.raises(ValueError, match=r"noise must have shape \(n, 2\), got \(4, 3\)"):
        fitted.transform(np.zeros((4, 3)))
    with pytest.raises(ValueError, match="noise must be finite"):
        fitted.transform(np.full((1, 2), np.nan))
    assert torch.equal(fitted.transform(NOISE.numpy()[::-1]), fitted.transform(NOISE).flip(0))
    with pytest.raises(TypeError, match="rng must be"):
        fitted.sample(3, rng=-1)
    assert fitted.sample(0).shape == (0, 2)


def test_a_map_is_inverted_where_it_is_reached_and_says_by_how_much_elsewhere():
    """Two clusters: T jumps between them, so that codes of the clusters are met, and those in the gap are not."""
    rng = np.random.default_rng(0)
    codes = np.where(rng.random((300, 1)) < 0.5, -4.0, 4.0) * [1, 0] + 0.3 * rng.standard_normal((300, 2))
    latent = otl.LatentTransport("semidiscrete", iterations=1000, layers=3, width=32).fit(codes)
    found = latent.invert(np.concatenate([codes[:200], [[0.0, 0.0]]]))
    gaps = (latent.transform(found.noise) - torch.from_numpy(np.r_[codes[:200], [[0.0, 0.0]]])).norm(dim=1)
    torch.testing.assert_close(found.residual.double(), gaps, atol=1e-5, rtol=1e-3)
    assert found.residual[:200].quantile(0.9) < 0.1 < 0.5 < found.residual[200]
    noise = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    assert latent.invert(latent.transform(noise)).residual.quantile(0.9) < 0.05
    # matched through the noise, midpoints keep to the clusters
    z1, z2 = found.noise[:200].reshape(2, 100, 2)
    middle = latent.transform(otl.interpolate(z1, z2, 0.5, prior=otl.Gaussian()))
    raw = torch.from_numpy(codes[:200].reshape(2, 100, 2).mean(0))
    far, linear = ((abs(x[:, 0]) > 2).double().mean() for x in (middle, raw))
    assert far > 0.85 > 0.7 > linear
    with pytest.raises(ValueError, match="nothing to invert"):
        small().fit(np.ones((3, 2))).invert(np.ones((1, 2)))
    with pytest.raises(ValueError, match=r"codes must have shape \(n, 2\)"):
        latent.invert(np.ones((4, 3)))
    with pytest.raises(ValueError, match="steps"):
        latent.invert(codes[:2], steps=0)


def test_gradients_flow_through_the_map():
    potential = small().fit(CODES).potential_.double()
    noise = NOISE.double().requires_grad_()
    torch.autograd.gradcheck(lambda z: brenier.transport(potential, z), noise)
