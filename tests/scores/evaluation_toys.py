"""A generator and a scorer whose answers are known."""

import itertools

import numpy as np
import scipy.special
import torch

import ot_latent as otl

D = 8
PRIOR = otl.Gaussian(0, 1)


def generator(z):
    """Latents as pixels, squeezed into [0, 1]."""
    return torch.sigmoid(z).view(-1, 2, 2, 2)


class Toy:
    """A scorer of any images: features are logits of the pixels; classes by fixed directions."""

    name = "toy"

    def features(self, images):
        return torch.logit(images.flatten(1), eps=1e-6).numpy()

    def probabilities(self, features):
        directions = np.random.default_rng(0).standard_normal((features.shape[1], 3))
        return scipy.special.softmax(features @ directions, axis=1)


def evaluate(generator=generator, prior=PRIOR, scorer=None, n=400, **settings):
    settings = {"dimension": D, "batch": 50} | settings
    return otl.evaluate_operations(generator, prior, scorer or Toy(), n, **settings)


class Killed(BaseException):
    pass


def killed_after(calls):
    left = itertools.count(calls, -1)

    def mortal(z):
        if next(left) <= 0:
            raise Killed
        return generator(z)

    return mortal
