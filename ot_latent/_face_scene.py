"""Where the pixels of a drawn face lie, soft masks and light: what every layer is made of.

The head is a ball under an orthographic camera: a pixel is carried to the point of the ball that it
shows, turned by the pose, and the features are drawn at that point. ``u`` points to the right of the
image and ``v`` up, in units of half the head's height, from the middle of the face.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from ot_latent import _face_paint as paint

HEIGHT = 0.64  # half the head's height; half the image is 1
WIDTH = 0.475
ASPECT = WIDTH / HEIGHT


def read(factors: np.ndarray) -> SimpleNamespace:
    """Each factor as an array of shape (n, 1, 1)."""
    names = factors.dtype.names
    return SimpleNamespace(
        **{name: factors[name].astype(np.float32)[:, None, None] for name in names}
    )


def place(face, side: int) -> SimpleNamespace:
    """Where each pixel is: on the screen, in the upright head's plane, and on the ball."""
    axis = ((np.arange(side) + 0.5) * 2 / side - 1).astype(np.float32)
    screen_x, screen_y = axis[None, None, :], -axis[None, :, None]
    x = (screen_x - face.shift_x) / face.scale
    y = (screen_y - face.shift_y) / face.scale
    cos, sin = np.cos(face.roll), np.sin(face.roll)
    scene = SimpleNamespace(screen_x=screen_x, screen_y=screen_y, body_x=x, body_y=y)
    scene.x, scene.y = cos * x + sin * (y + 0.3), cos * (y + 0.3) - sin * x - 0.3
    scene.y -= 0.03
    scene.pixel = 2 / side / face.scale
    scene.light = np.stack(
        [
            np.sin(face.light_azimuth) * np.cos(face.light_elevation),
            np.sin(face.light_elevation) + 0 * face.light_azimuth,
            np.cos(face.light_azimuth) * np.cos(face.light_elevation),
        ]
    )
    scene.width = WIDTH * (1 + 0.08 * face.head_width)
    low = np.maximum(-scene.y / HEIGHT, 0)
    scene.py = scene.y / (HEIGHT * np.where(scene.y < 0, 1 + 0.05 * face.chin, 1))
    bend = scene.x - 0.10 * np.sin(face.yaw) * low  # the chin goes with the turn
    jaw = 1 + low * np.maximum(1.25 - low, 0) * (0.24 * face.jaw - 0.24)
    scene.px = bend / (scene.width * jaw)
    scene.u, scene.v, scene.depth = turned(face, scene.px, scene.py)
    scene.u = scene.u * ASPECT
    scene.fine = scene.pixel / HEIGHT
    scene.skin = paint.skin(face.skin_tone, face.undertone)
    return scene


def turned(face, px, py):
    """The point of the unit ball that is seen at (px, py), in the coordinates of the head."""
    pz = np.sqrt(np.maximum(1 - px * px - py * py, 0))
    cos, sin = np.cos(face.yaw), np.sin(face.yaw)
    qx, qz = px * cos - pz * sin, px * sin + pz * cos
    cos, sin = np.cos(face.pitch), np.sin(face.pitch)
    return qx, py * cos - qz * sin, pz


def covered(distance, pixel):
    """Share of a pixel that is inside, from the signed distance to the edge, positive inside."""
    return np.clip(distance / pixel + 0.5, 0, 1)


def stroke(distance, thickness, pixel):
    """Share of a pixel under a line, exact for lines thinner than a pixel as well."""
    half = thickness / 2
    return covered(distance + half, pixel) - covered(distance - half, pixel)


def ramp(low, high, value):
    """0 below ``low``, 1 above ``high``, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def bell(distance, width):
    return np.exp(-((distance / width) ** 2))


def lay(image, colour, alpha) -> None:
    """Lay a colour over the image."""
    layer = colour - image
    layer *= alpha[:, None]
    image += layer


def light_on(face, scene, nx, ny, nz, wrap=0.35):
    """Light on a surface of the given normals: (n, 3, side, side)."""
    lx, ly, lz = scene.light
    length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-6
    cosine = (nx * lx + ny * ly + nz * lz) / length
    key = np.maximum(cosine + wrap, 0) / (1 + wrap)
    power = 0.45 + 0.55 * face.light_contrast
    sky = 0.78 - 0.52 * face.light_contrast
    ambient = sky * (0.85 + 0.15 * ny / length)
    return ambient[:, None] * paint.light(-0.2 * face.light_warmth) + (power * 1.1 * key)[
        :, None
    ] * paint.light(face.light_warmth)
