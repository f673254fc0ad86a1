"""Couplings of a prior and codes: pairs, batches, soft assignments, classes, codes that are images."""

import numpy as np
import pytest
import torch
from scipy import stats

import ot_latent as otl
from ot_latent import datasets
from ot_latent.laguerre import estimate_mass_error
from ot_latent.semidiscrete import ClassCoupling, planes, transport


@pytest.fixture(scope="module")
def codes():
    return np.random.default_rng(0).random((60, 3)) ** 2


@pytest.fixture(scope="module")
def ot(codes):
    return otl.SemiDiscreteOT(tolerance=0.005).fit(codes)


def test_pairs_are_draws_of_the_coupling(ot, codes):
    noise, index = ot.pair(20_000, rng=1)
    assert noise.dtype == codes.dtype and noise.shape == (20_000, 3) and index.dtype == np.int64
    np.testing.assert_array_equal(index, ot.cell(noise))
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-3
    error = estimate_mass_error(torch.from_numpy(np.bincount(index, minlength=60)), torch.full((60,), 1 / 60))
    assert error.low < 0.005
    np.testing.assert_array_equal(ot.pair(50, rng=3)[1], ot.pair(50, rng=3)[1])
    assert (ot.pair(50, np.random.default_rng(3))[0] != ot.pair(50, np.random.default_rng(4))[0]).any()


def test_pairs_cost_what_the_dual_says_and_less_than_independent_ones(ot, codes):
    noise, index = ot.pair(50_000, rng=2)
    paid = ((noise - codes[index]) ** 2).sum(1) / 2
    standard_error = paid.std() / 50_000**0.5
    assert ot.cost.low - 4 * standard_error < paid.mean() < ot.cost.high + 4 * standard_error + 0.01
    assert paid.mean() < ((noise - codes[np.roll(index, 1)]) ** 2).sum(1).mean() / 2


def test_equal_codes_share_their_pairs_by_weight():
    codes, weights = np.array([[2.0, 0], [-1, 1], [2, 0], [0, 3]]), [1, 2, 3, 4]
    ot = otl.SemiDiscreteOT(tolerance=0.005).fit(codes, weights=weights)
    _, index = ot.pair(40_000, rng=0)
    np.testing.assert_allclose(np.bincount(index) / 40_000, np.array(weights) / 10, atol=0.02)
    soft = ot.assignment(np.zeros((1, 2)), 1.0)
    assert soft[0, 2] == pytest.approx(3 * soft[0, 0]) and soft.sum() == pytest.approx(1)


def test_kinds_of_arrays_come_back():
    ot = otl.SemiDiscreteOT(tolerance=0.1).fit(torch.rand(20, 2, generator=torch.Generator().manual_seed(0)))
    noise, index = ot.pair(10, rng=torch.Generator().manual_seed(1))
    assert noise.dtype == torch.float32 and index.dtype == torch.int64
    torch.testing.assert_close(index, ot.cell(noise))


@pytest.mark.filterwarnings("error")
def test_points_go_through_in_batches(ot, monkeypatch, tmp_path):
    z = np.lib.format.open_memmap(tmp_path / "z.npy", "w+", np.float32, (1_000, 3))
    z[:] = np.random.default_rng(5).standard_normal(z.shape)
    z.flush()
    whole, moved, pairs, sizes = ot.cell(z), ot.transport(z), ot.pair(1_000, rng=6), []
    found = planes.cells_of

    def cells_of(dual, points, *own):
        sizes.append(len(points))
        return found(dual, points, *own)

    z = np.load(tmp_path / "z.npy", mmap_mode="r")  # torch warns of arrays that cannot be written
    monkeypatch.setattr(transport, "TABLE", 300)
    monkeypatch.setattr(planes, "TABLE", 300)
    monkeypatch.setattr(planes, "cells_of", cells_of)
    np.testing.assert_array_equal(ot.cell(z), whole)
    np.testing.assert_array_equal(ot.transport(z), moved)
    assert sizes == [100] * 20
    assert len(ot.pair(1_000, rng=6)[1]) == len(pairs[1])
    assert ot.cell(z[:0]).shape == (0,)


def test_a_soft_assignment_is_the_softmax_of_the_planes(ot, codes):
    z = np.random.default_rng(7).standard_normal((200, 3))
    for temperature in (0.01, 0.3):
        planes = (z @ codes.T + ot.heights) / temperature
        expected = np.exp(planes - planes.max(1, keepdims=True))
        soft = ot.assignment(z, temperature)
        np.testing.assert_allclose(soft, expected / expected.sum(1, keepdims=True), atol=1e-4)
    np.testing.assert_array_equal(ot.assignment(z, 1e-9).argmax(1), ot.cell(z))
    np.testing.assert_allclose(ot.assignment(z, 1e9), 1 / 60, rtol=1e-6)


def test_soft_pairs_follow_the_assignment_and_their_masses_are_told(ot):
    noise, index = ot.pair(30_000, rng=8, temperature=0.05)
    soft = ot.assignment(noise, 0.05)
    np.testing.assert_allclose(np.bincount(index, minlength=60) / 30_000, soft.mean(0), atol=0.005)
    masses = ot.assignment(otl.Gaussian().sample((200_000, 3), rng=9), 0.05).mean(0)
    true = (60 * (masses - 1 / 60) ** 2).sum()
    told = ot.mass_error(200_000, rng=10, temperature=0.05)
    assert told.low < true + 0.002 and true - 0.002 < told.high
    assert told.value > ot.mass_error(200_000, rng=10).value  # heights are those of temperature 0


def test_a_soft_map_has_gradients(codes):
    ot = otl.SemiDiscreteOT(tolerance=0.1).fit(torch.from_numpy(codes))
    z = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(lambda z: ot.assignment(z, 0.5) @ torch.from_numpy(codes), z.requires_grad_())


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_each_class_has_the_whole_noise(codes, kind):
    labels = np.array(["three", "one", "seven"])[(codes[:, 0] > 0.2).astype(int) + (codes[:, 0] > 0.5)]
    if kind == "torch":
        codes, labels = torch.from_numpy(codes).float(), torch.from_numpy(np.unique(labels, return_inverse=True)[1])
    coupled = ClassCoupling(tolerance=0.02).fit(codes, labels)
    noise, index = coupled.pair(6_000, rng=0)
    assert noise.dtype == codes.dtype and isinstance(noise, type(codes))
    of_pairs = np.asarray(labels[index])
    assert set(coupled.fits) == set(np.unique(np.asarray(labels)).tolist())
    for label in np.unique(of_pairs):
        share = (np.asarray(labels) == label).mean()
        assert abs((of_pairs == label).mean() - share) < 4 * (share / 6_000) ** 0.5
        assert stats.kstest(np.asarray(noise)[of_pairs == label].ravel(), "norm").pvalue > 1e-3
    assert (np.diff(of_pairs == of_pairs[0]) != 0).sum() > 1_000  # classes come mixed
    together = otl.SemiDiscreteOT(tolerance=0.02).fit(codes)
    z, j = together.pair(6_000, rng=0)  # one problem for all gives each class a part of the noise
    assert stats.kstest(np.asarray(z)[np.asarray(labels[j]) == of_pairs[0]][:, 0], "norm").pvalue < 1e-3
    assert repr(coupled) == "ClassCoupling(tolerance=0.02)"


def test_images_as_codes_are_certified():
    """d = 784: pixels are correlated, many of them constant."""
    codes = datasets.mnist("train")[0][:300].reshape(300, -1) / np.float32(255)
    ot = otl.SemiDiscreteOT(tolerance=0.1).fit(codes)
    assert ot.converged and ot.mass_error(30_000, rng=1).low < 0.1
    noise, index = ot.pair(5, rng=0)
    assert noise.shape == (5, 784) and index.shape == (5,)


def test_bad_use_is_named(ot, codes):
    with pytest.raises(ValueError, match="n must be at least 1"):
        ot.pair(0)
    for call in (ot.assignment, lambda z, t: ot.pair(3, 0, t), lambda z, t: ot.mass_error(9, 0, t)):
        with pytest.raises(ValueError, match="temperature must be (positive|at least 0)"):
            call(codes, -1.0)
    with pytest.raises(RuntimeError, match="call fit"):
        otl.SemiDiscreteOT().pair(3)
    with pytest.raises(ValueError, match=r"labels must have shape \(60,\), one for each code, got \(3,\)"):
        ClassCoupling().fit(codes, [0, 1, 2])
    with pytest.raises(RuntimeError, match=r"call fit\(codes, labels\)"):
        ClassCoupling().pair(3)
    with pytest.raises(ValueError, match="tolerance must be positive"):
        ClassCoupling(tolerance=0)
