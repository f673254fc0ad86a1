"""Faces that the project draws itself: a generator of images whose factors are known.

They stand in where no photographs of faces are at hand: `datasets.drawn_faces` gives as many as one
likes, and no two sets of factors share a licence, a person or a privacy concern. Everything is a smooth
function of the factors in `RANGES`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.special import ndtri

from ot_latent import _face_drawing

#: Raise it when the same seed shall give other faces: cached sets are drawn again then.
VERSION = 1

#: Every factor with its lowest and highest value. Angles are in radians.
RANGES: dict[str, tuple[float, float]] = {
    # pose
    "yaw": (-0.55, 0.55),
    "pitch": (-0.25, 0.25),
    "roll": (-0.22, 0.22),
    "shift_x": (-0.06, 0.06),
    "shift_y": (-0.05, 0.05),
    "scale": (1.05, 1.2),
    # shape of the head and its features
    "head_width": (-1, 1),
    "jaw": (-1, 1),
    "chin": (-1, 1),
    "nose_width": (-1, 1),
    "nose_length": (-1, 1),
    "lips": (-1, 1),
    "mouth_width": (-1, 1),
    "eye_size": (-1, 1),
    "eye_spacing": (-1, 1),
    "eye_tilt": (-1, 1),
    "brow_thickness": (-1, 1),
    # skin and eyes
    "skin_tone": (0, 1),
    "undertone": (-1, 1),
    "blush": (0, 1),
    "age": (0, 1),
    "iris": (0, 1),
    "lip_colour": (0, 1),
    "makeup": (0, 1),
    # expression
    "smile": (-1, 1),
    "mouth_open": (0, 1),
    "brow_raise": (-1, 1),
    "brow_tilt": (-1, 1),
    "eye_openness": (0, 1),
    "gaze_x": (-1, 1),
    "gaze_y": (-1, 1),
    # hair
    "hair_length": (0, 1),
    "hair_volume": (0, 1),
    "curl": (0, 1),
    "parting": (-1, 1),
    "fringe": (0, 1),
    "recession": (0, 1),
    "baldness": (0, 1),
    "hair_melanin": (0, 1),
    "hair_red": (0, 1),
    "grey": (0, 1),
    "beard": (0, 1),
    "moustache": (0, 1),
    # glasses
    "glasses": (0, 1),
    "glasses_size": (-1, 1),
    "glasses_round": (0, 1),
    "glasses_metal": (0, 1),
    # light
    "light_azimuth": (-1.2, 1.2),
    "light_elevation": (-0.1, 1.0),
    "light_contrast": (0, 1),
    "light_warmth": (-1, 1),
    # background and clothes
    "back_hue": (0, 1),
    "back_saturation": (0, 1),
    "back_brightness": (0, 1),
    "back_contrast": (0, 1),
    "back_angle": (0, 2 * np.pi),
    "back_blur": (0, 1),
    "back_phase": (0, 2 * np.pi),
    "cloth_hue": (0, 1),
    "cloth_saturation": (0, 1),
    "cloth_brightness": (0, 1),
    "collar": (0, 1),
}

#: Numbers that decide one face: one for each factor, one for the kind of its hair.
_DRAWS = len(RANGES) + 1
#: Pixels that are drawn at once: the arrays of one step stay in the processor's cache.
_PIXELS_AT_ONCE = 2**14


def drawn_factors(n: int, rng: int | np.random.Generator = 0) -> np.ndarray:
    """Factors of random faces.

    Skin, hair and eyes come in natural combinations of colours: dark hair is common with every skin, fair
    and red hair with pale skin only, and hair greys with age.

    Parameters
    ----------
    n : int
        Number of faces. Face i does not depend on it.
    rng : int or Generator

    Returns
    -------
    (n,) structured array with the fields of `RANGES`, float32.

    Examples
    --------
    >>> factors = drawn_factors(3)
    >>> factors.shape, len(factors.dtype.names)
    ((3,), 62)
    """
    if not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(f"n must be a positive whole number, got {n!r}")
    uniform = np.random.default_rng(rng).random((n, _DRAWS))
    free = dict(zip(RANGES, uniform.T[1:], strict=True))
    mane = uniform[:, 0]  # from cropped hair and beards to long hair
    factors = np.empty(n, [(name, np.float32) for name in RANGES])
    for name, (low, high) in RANGES.items():
        factors[name] = low + (high - low) * free[name]
    for name in _ABOUT_ZERO:
        deviation = 0.4 * RANGES[name][1]
        factors[name] = np.clip(deviation * ndtri(free[name]), *RANGES[name])
    _person(factors, free, mane)
    _expression(factors, free)
    _scene(factors, free)
    return factors


#: Factors that are mostly near zero, the middle of their range.
_ABOUT_ZERO = (
    *("yaw", "pitch", "roll", "shift_x", "shift_y", "head_width", "jaw", "chin", "nose_width"),
    *("nose_length", "lips", "mouth_width", "eye_size", "eye_spacing", "eye_tilt", "undertone"),
    *("brow_raise", "brow_tilt", "brow_thickness", "gaze_x", "gaze_y", "light_warmth"),
)


def _rare(uniform: np.ndarray, share: float) -> np.ndarray:
    """Uniform in [0, 1] for a share of the faces, 0 for the others."""
    return np.maximum(uniform - (1 - share), 0) / share


def _person(factors: np.ndarray, free: dict, mane: np.ndarray) -> None:
    tone, age = free["skin_tone"], free["age"]
    fair = np.clip(1.15 - 2.2 * tone, 0, 1)  # how much room there is for fair hair and light eyes
    melanin = 1 - (0.15 + 0.85 * fair * free["hair_melanin"] ** 0.3) * free["hair_melanin"]
    factors["hair_melanin"] = np.clip(melanin, 0, 1)
    factors["hair_red"] = np.clip(
        (0.05 + 0.2 * fair) * free["hair_red"] + fair * 2 * _rare(free["hair_red"], 0.15), 0, 1
    )
    factors["grey"] = np.clip(4 * (age - 0.72), 0, 1) * free["grey"] ** 0.6
    factors["iris"] = np.clip(0.25 * free["iris"] + fair * free["iris"] ** 1.2, 0, 1)
    long = np.clip((mane - 0.42) / 0.16, 0, 1)
    length = free["hair_length"]
    factors["hair_length"] = (1 - long) * 0.22 * length + long * (0.30 + 0.70 * length)
    factors["hair_volume"] = 0.15 + 0.5 * free["hair_volume"] + 0.35 * long * free["hair_volume"]
    factors["hair_volume"] *= 1 - 0.8 * factors["baldness"]
    factors["curl"] = np.clip(
        0.8 * free["curl"] ** 2.5 + 0.9 * np.clip(2 * tone - 0.9, 0, 1) * free["curl"] ** 0.6, 0, 1
    )
    factors["fringe"] = np.maximum(free["fringe"] * 1.6 - 0.6, 0)
    factors["recession"] = (1 - long) * age * free["recession"]
    factors["baldness"] = (1 - long) * np.clip(_rare(free["baldness"], 0.14) * 3, 0, 1)
    bearded = 1 - np.clip((mane - 0.30) / 0.12, 0, 1)
    factors["beard"] = bearded * _rare(free["beard"], 0.55)
    factors["moustache"] = np.maximum(
        bearded * _rare(free["moustache"], 0.2), 0.9 * (factors["beard"] > 0.2) * factors["beard"]
    )
    factors["lip_colour"] = 0.8 * long * free["lip_colour"] ** 1.5
    factors["makeup"] = long * free["makeup"] ** 1.5
    factors["jaw"] = np.clip(factors["jaw"] + 0.35 * (1 - 2 * long), -1, 1)
    factors["brow_thickness"] = np.clip(factors["brow_thickness"] + 0.3 * (1 - 2 * long), -1, 1)


def _expression(factors: np.ndarray, free: dict) -> None:
    factors["smile"] = np.clip(0.30 + 0.42 * ndtri(free["smile"]), -1, 1)
    factors["mouth_open"] = _rare(free["mouth_open"], 0.45) * (0.45 + 0.4 * factors["smile"])
    factors["eye_openness"] = np.clip(
        0.66 + 0.2 * ndtri(free["eye_openness"]) - 0.15 * factors["smile"], 0, 1
    )


def _scene(factors: np.ndarray, free: dict) -> None:
    factors["glasses"] = np.clip(30 * _rare(free["glasses"], 0.17), 0, 1)
    factors["light_elevation"] = 0.05 + 0.75 * free["light_elevation"]
    factors["back_saturation"] = 0.75 * free["back_saturation"] ** 1.6
    factors["back_brightness"] = 0.25 + 0.70 * free["back_brightness"]
    factors["cloth_saturation"] = 0.85 * free["cloth_saturation"]
    factors["cloth_brightness"] = 0.12 + 0.80 * free["cloth_brightness"]


def draw_faces(factors: np.ndarray, side: int = 64) -> np.ndarray:
    """Faces from their factors.

    Parameters
    ----------
    factors : (n,) structured array with the fields of `RANGES`
        Such as `drawn_factors` returns; change fields to see what they do.
    side : int
        Side of the images in pixels, 16 to 512. Faces look the same at every size.

    Returns
    -------
    (n, side, side, 3) uint8
    """
    _checked_side(side)
    _check_factors(factors)
    images = np.empty((len(factors), side, side, 3), np.uint8)
    count = max(1, _PIXELS_AT_ONCE // side**2)
    for start in range(0, len(factors), count):
        images[start : start + count] = _face_drawing.draw(factors[start : start + count], side)
    return images


def _checked_side(side: int) -> int:
    if not isinstance(side, (int, np.integer)) or not 16 <= side <= 512:
        raise ValueError(f"side must be a whole number of pixels from 16 to 512, got {side!r}")
    return side


def _check_factors(factors: np.ndarray) -> None:
    names = getattr(getattr(factors, "dtype", None), "names", None)
    if names is None or factors.ndim != 1 or set(names) != set(RANGES):
        raise ValueError(
            "factors must be a structured array of one axis with the fields of faces.RANGES, as "
            f"faces.drawn_factors returns it, got {type(factors).__name__} with fields {names}"
        )
    for name, (low, high) in RANGES.items():
        values = factors[name]
        if not np.all((values >= low - 1e-6) & (values <= high + 1e-6)):
            raise ValueError(
                f"factor {name!r} must lie in [{low:g}, {high:g}], got values from "
                f"{values.min():g} to {values.max():g}"
            )


def drawn_faces(n: int, rng: int | np.random.Generator = 0, side: int = 64) -> np.ndarray:
    """Random faces: hair, skin, pose, expression, eyes, glasses, beards, light and background vary.

    Parameters
    ----------
    n : int
        Number of faces. Face i does not depend on it.
    rng : int or Generator
    side : int
        Side of the images in pixels.

    Returns
    -------
    (n, side, side, 3) uint8. Their factors are ``drawn_factors(n, rng)``.

    Examples
    --------
    >>> drawn_faces(2).shape
    (2, 64, 64, 3)
    """
    return draw_faces(drawn_factors(n, rng), side)


class DrawnFaces:
    """The data set "drawn_faces" as a source of the image cache."""

    #: Number of faces and seed of each split.
    SPLITS = {"train": (20_000, 0), "test": (2_000, 1)}

    def __init__(self, split: str, side: int) -> None:
        self.path = Path(f"drawn faces ({split})")
        self._split, self._side = split, _checked_side(side)

    def __len__(self) -> int:
        return self.SPLITS[self._split][0]

    def fingerprint(self) -> str:
        return f"{VERSION} {self._split} {self._side}"

    def chunks(self, start: int, most: int) -> Iterator[list[tuple[str, np.ndarray]]]:
        factors = drawn_factors(*self.SPLITS[self._split])
        for first in range(start, len(factors), most):
            images = draw_faces(factors[first : first + most], self._side).transpose(0, 3, 1, 2)
            yield [(f"face {first + row}", image) for row, image in enumerate(images)]
