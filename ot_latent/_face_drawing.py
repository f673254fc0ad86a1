"""Pixels of drawn faces: layers from the background to the glasses, each a soft mask over a colour."""

from __future__ import annotations

import numpy as np

from ot_latent import _face_features as features
from ot_latent import _face_hair as hair
from ot_latent import _face_paint as paint
from ot_latent import _face_scene as scenes
from ot_latent._face_scene import HEIGHT, bell, covered, lay, light_on, ramp


def draw(factors: np.ndarray, side: int) -> np.ndarray:
    """Faces as (n, side, side, 3) uint8, from a structured array of factors."""
    face = scenes.read(factors)
    scene = scenes.place(face, side)
    hair.measure(face, scene)
    image = _background(face, scene)
    hair.behind(face, scene, image)
    _shoulders(face, scene, image)
    features.ears(face, scene, image)
    features.head(face, scene, image)
    hair.beard(face, scene, image)
    features.mouth(face, scene, image)
    for sign in (-1, 1):
        features.eye(face, scene, image, sign)
        hair.brow(face, scene, image, sign)
    hair.in_front(face, scene, image)
    features.glasses(face, scene, image)
    image *= 1.12 / (1 + 0.22 * image)  # bright parts saturate gently
    screen = np.sqrt(np.clip(image, 0, 1)) * 255 + 0.5
    return np.ascontiguousarray(screen.astype(np.uint8).transpose(0, 2, 3, 1))


def _background(face, scene):
    x, y = scene.screen_x, scene.screen_y
    along = np.cos(face.back_angle) * x + np.sin(face.back_angle) * y
    first = paint.hue(face.back_hue, face.back_saturation, face.back_brightness)
    second = paint.hue(
        face.back_hue + 0.12 * face.back_contrast,
        face.back_saturation,
        face.back_brightness * (1 - 0.45 * face.back_contrast),
    )
    image = first + ramp(-1.2, 1.2, along)[:, None] * (second - first)
    size = 0.22 + 0.35 * face.back_blur
    for k, (radius, strength) in enumerate([(1.0, 0.5), (0.7, -0.35), (0.8, 0.4)]):
        turn = face.back_phase + 2.1 * k
        dx, dy = x - 0.95 * np.cos(turn), y - 0.75 * np.sin(1.7 * turn) - 0.2
        far = np.sqrt(dx * dx + dy * dy) / (size * radius)
        spot = 1 - ramp(1 - face.back_blur, 1.05 + face.back_blur, far)
        image *= 1 + (strength * face.back_contrast * spot)[:, None]
    light = paint.light(0.5 * face.light_warmth)
    return (image * light * (1 - 0.18 * (x * x + y * y))[:, None]).astype(np.float32)


def _shoulders(face, scene, image) -> None:
    x, y = scene.body_x - 0.25 * face.roll, scene.body_y
    neck = 0.235 + 0.035 * face.jaw + 0.02 * face.head_width
    flare = neck + 0.35 * np.maximum(-0.72 - y, 0) ** 1.2
    across = np.clip(x / flare, -1, 1)
    round_ = np.sqrt(1 - across * across)
    lit = light_on(face, scene, across, 0, round_ + 0.2)
    chin = -HEIGHT * (1 + 0.05 * face.chin)
    shadow = 1 - 0.62 * ramp(chin - 0.34, chin + 0.10, y + 0.10 * np.abs(x))
    lay(
        image,
        scene.skin * lit * shadow[:, None],
        covered(flare - np.abs(x), scene.pixel) * (y < -0.2),
    )
    slope = -0.80 - 0.20 * np.abs(x) ** 1.6
    collar = -0.86 - 0.16 * face.collar + (0.9 + 0.8 * face.collar) * np.abs(x) ** 1.5
    cloth = paint.hue(face.cloth_hue, face.cloth_saturation, face.cloth_brightness)
    lit = light_on(face, scene, 0.75 * x, 0.45, 0.7)
    fold = 1 - 0.25 * bell(collar - y - 0.03, 0.025) + 0.05 * np.sin(7 * x + 4 * y)
    alpha = covered(np.minimum(slope, collar) - y, scene.pixel)
    lay(image, cloth * lit * fold[:, None], alpha)
