"""Colours of drawn faces: skin and hair from pigments, irises, cloth and light, in linear light.

Each function takes factors of shape (n, 1, 1) and gives a colour of shape (n, 3, 1, 1).
"""

from __future__ import annotations

import numpy as np

# From pale to dark, as they look on a screen.
_SKIN = np.array(
    [
        (240, 207, 187),
        (234, 192, 165),
        (221, 174, 140),
        (201, 151, 114),
        (164, 114, 80),
        (122, 81, 57),
        (84, 56, 42),
    ]
)
# From brown over hazel and green to blue and grey.
_IRIS = np.array([(58, 34, 20), (104, 66, 34), (112, 112, 58), (76, 130, 168), (140, 158, 170)])
# What the two pigments of hair absorb of red, green and blue.
_EUMELANIN = np.array([0.42, 0.70, 1.37])
_PHEOMELANIN = np.array([0.19, 0.40, 1.05])


def linear(screen) -> np.ndarray:
    """From values of a screen, 0 to 255, to linear light with a gamma of 2."""
    return (np.asarray(screen, dtype=np.float32) / 255) ** 2


def _along(stops: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The colour at ``where`` in [0, 1] on the way along the stops."""
    knots = np.linspace(0, 1, len(stops))
    channels = [np.interp(where, knots, channel) for channel in stops.T]
    return linear(np.stack(channels, axis=1))


def constant(*screen: float) -> np.ndarray:
    """One colour for all faces."""
    return linear(screen).reshape(1, 3, 1, 1)


def weights(*channels: float) -> np.ndarray:
    """Three factors for red, green and blue."""
    return np.array(channels, dtype=np.float32).reshape(1, 3, 1, 1)


def skin(tone: np.ndarray, undertone: np.ndarray) -> np.ndarray:
    """Skin from pale (0) to dark (1), its undertone from golden (-1) to rosy (1)."""
    return _along(_SKIN, tone) * (1 + weights(0.03, -0.04, 0.07) * undertone[:, None])


def hair(melanin: np.ndarray, red: np.ndarray, grey: np.ndarray) -> np.ndarray:
    """Hair that holds the two pigments, mixed with white hair."""
    dose = 0.3 + 9.5 * melanin**2
    absorbed = dose[:, None] * _EUMELANIN.reshape(1, 3, 1, 1)
    absorbed = absorbed + 2.2 * red[:, None] * _PHEOMELANIN.reshape(1, 3, 1, 1)
    pigmented = weights(0.80, 0.72, 0.58) * np.exp(-absorbed) + 0.006
    mixed = pigmented + 0.85 * grey[:, None] * (constant(196, 196, 198) - pigmented)
    return mixed.astype(np.float32)


def iris(colour: np.ndarray) -> np.ndarray:
    """Irises from brown (0) to grey (1)."""
    return _along(_IRIS, colour)


def hue(angle: np.ndarray, saturation: np.ndarray, brightness: np.ndarray) -> np.ndarray:
    """A colour by its hue in [0, 1), saturation and brightness."""
    turns = angle[:, None] + weights(0, -1 / 3, 1 / 3)
    wave = 0.5 + 0.5 * np.cos(2 * np.pi * turns)
    return (brightness[:, None] * (1 - saturation[:, None] * (1 - wave))) ** 2


def light(warmth: np.ndarray) -> np.ndarray:
    """Light from bluish (-1) to the colour of a lamp (1)."""
    return 1 + weights(0.16, 0.0, -0.26) * warmth[:, None]
