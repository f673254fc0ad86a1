"""Checkpoints of every kind as generators."""

import copy
import pickle

import numpy as np
import pytest
import torch

from ot_latent import Gaussian, Uniform, brenier
from ot_latent.models import checkpoints, generators
from ot_latent.models.autoencoders import AVB, VAE, WAEGAN, WAEMMD
from ot_latent.models.gans import DCGAN, WGANGP


def saved(model, folder):
    checkpoints.round_to_half(model)
    return checkpoints.save(folder / "model.safetensors", model, {})


@pytest.mark.parametrize(
    ("build", "prior", "shape"),
    [
        (lambda: DCGAN(32, 3, 5, 4, "uniform"), Uniform(-1, 1), (3, 32, 32)),
        (lambda: DCGAN(64, 1, 5, 4, "gaussian"), Gaussian(0, 1), (1, 64, 64)),
        (lambda: WGANGP(32, 3, 5, 4), Gaussian(0, 1), (3, 32, 32)),
        (lambda: VAE(5, 4, channels=3), Gaussian(0, 1), (3, 64, 64)),
        (lambda: WAEGAN(5, 4), Gaussian(0, 1), (1, 64, 64)),
        (lambda: WAEMMD(5, 4), Gaussian(0, 1), (1, 64, 64)),
        (lambda: AVB(5, 4), Gaussian(0, 1), (1, 64, 64)),
    ],
)
def test_each_kind_has_its_prior_and_makes_its_images(build, prior, shape, tmp_path):
    torch.manual_seed(0)
    model = build()
    generator = generators.load(saved(model, tmp_path))
    assert (generator.prior, generator.latent_dim) == (prior, 5)
    z = generator.sample((2, 60), rng=0)
    assert z.shape == (2, 60, 5) and z.dtype == torch.float32
    low, high = prior.support
    assert low <= z.min() and z.max() <= high
    images = generator(z)  # in chunks
    assert images.shape == (2, 60, *shape)
    assert not images.requires_grad
    decode = getattr(model.eval(), "generate", None) or model.decode
    torch.testing.assert_close(images[1, 7], decode(z[1, 7:8])[0])


def test_a_potential_carries_noise_to_the_codes_of_its_auto_encoder():
    generator = generators.load("mnist-aeot", "mnist-ae")
    z = generator.sample(4, rng=0)
    codes = brenier.transport(checkpoints.load("mnist-aeot"), z)
    expected = checkpoints.load("mnist-ae").decode(codes)
    torch.testing.assert_close(generator(z), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("names", [("mnist-aeot", "mnist-ae"), ("mnist-vae",), ("mnist-dcgan-gaussian",)])
def test_generators_are_copied_by_pickle(names):
    generator = generators.load(*names)
    z = generator.sample(2, rng=0)
    for copied in (pickle.loads(pickle.dumps(generator)), copy.deepcopy(generator)):
        assert (copied.prior, copied.latent_dim) == (generator.prior, generator.latent_dim)
        assert torch.equal(copied(z), generator(z))


def test_latent_points_of_another_shape_are_refused_and_every_precision_will_do():
    generator = generators.Generator(5, Gaussian(0, 1), torch.nn.Linear(5, 3))
    z = generator.sample((2, 3), rng=0)
    assert torch.equal(generator.sample(np.int64(6), rng=0), z.view(6, 5))
    for shape in (-3, 2.5, "3", (2, -1)):
        with pytest.raises(ValueError, match="shape must be a whole number"):
            generator.sample(shape)
    for wrong in (z[..., :4], torch.zeros(4, 10), torch.zeros(()), z.numpy()):
        with pytest.raises(ValueError, match=r"z must be a torch tensor \(..., 5\), got"):
            generator(wrong)
    assert torch.equal(generator(z.double()), generator(z))
    assert torch.equal(generator(z.bfloat16()), generator(z.bfloat16().float()))


def test_what_is_no_generator_is_refused():
    with pytest.raises(TypeError, match="got a Autoencoder.*AE-OT"):
        generators.load("mnist-ae")
    with pytest.raises(TypeError, match="weights must be those of a generator, got a DigitClassifier"):
        generators.load("mnist-classifier")
    with pytest.raises(ValueError, match="decoder must be .* got None for a Potential"):
        generators.load("mnist-aeot")
    with pytest.raises(ValueError, match="got 'mnist-ae' for a VAE"):
        generators.load("mnist-vae", "mnist-ae")
