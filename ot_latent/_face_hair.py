"""Hair, brows and beards of drawn faces."""

from __future__ import annotations

import numpy as np

from ot_latent import _face_paint as paint
from ot_latent._face_scene import HEIGHT, bell, covered, lay, light_on, ramp, stroke, turned


def measure(face, scene) -> None:
    """Colour of the hair, its strands, its half-width at each height and its lower end."""
    volume = 1.07 + 0.17 * face.hair_volume
    scene.hair_width = scene.width * volume
    scene.hair_height = HEIGHT * (1.045 + 0.13 * face.hair_volume)
    scene.hair_end = 0.25 - 1.25 * face.hair_length
    scene.long_hair = ramp(0.22, 0.34, face.hair_length)
    rise = np.clip(scene.y / scene.hair_height, -1, 1)
    arch = np.where(scene.y > 0, np.sqrt(np.maximum(1 - rise * rise, 0)), 1)
    drop = np.maximum(-scene.y, 0)
    wave = 0.03 * face.curl * np.sin(16 * scene.y + 3 * face.parting)
    taper = 1 + (0.16 * face.hair_volume - 0.04) * drop
    close = (volume - 1.015) / volume * (1 - scene.long_hair)  # short hair lies close at the sides
    hidden = ramp(0, 0.25, scene.x * np.sin(face.yaw) / scene.width)  # on the far side even higher
    taper = taper * (1 - close * ramp(0.32 + 0.2 * hidden, 0.02 + 0.32 * hidden, scene.y))
    scene.hair_outline = scene.hair_width * (arch * taper + wave * ramp(0, 0.3, drop))
    scene.hair_colour = paint.hair(face.hair_melanin, face.hair_red, face.grey)
    scene.strands = _strands(face, scene)


def _strands(face, scene):
    """Streaks of hair that run from the crown, about 0."""
    v = np.clip(scene.y / scene.hair_height, -1.2, 1)
    along = (scene.x / scene.hair_width - 0.45 * face.parting) / (1.35 - 0.75 * v)
    bent = along + 0.05 * face.curl * np.sin(11 * v + 5 * along + face.back_phase)
    streaks = 0.5 * np.sin(23 * bent + 1.0) + 0.35 * np.sin(41 * bent + 2.5 * np.sin(9 * bent))
    curls = np.sin(19 * scene.x + 3 * np.sin(13 * scene.y)) * np.sin(17 * scene.y + face.parting)
    return streaks * (1 - 0.7 * face.curl) + 0.9 * face.curl * curls


def behind(face, scene, image) -> None:
    long = scene.long_hair * ramp(0.6, 0.3, face.baldness)
    below = scene.y - scene.hair_end - 0.03 * np.sin(9 * scene.x / scene.hair_width)
    edge = np.minimum(scene.hair_outline - np.abs(scene.x), below)
    edge = np.minimum(edge, scene.hair_height - scene.y)
    shade = 0.42 + 0.08 * scene.strands
    lay(image, scene.hair_colour * shade[:, None], long * covered(edge, scene.pixel * 1.5))


def in_front(face, scene, image) -> None:
    """The cap above the hairline, and the curtains beside the face where hair is long."""
    x, y = scene.x, scene.y
    px, py = x / scene.hair_width, y / scene.hair_height
    u, v, depth = turned(face, px, py)
    side = np.abs(u)
    part = 0.55 * face.parting
    away = u - part
    sweep = 0.12 * face.fringe * np.tanh(5 * part) * away
    front = 0.60 - 0.26 * face.fringe + sweep
    front = front + 0.11 * (0.3 + face.fringe) * bell(away, 0.16 + 0.1 * face.fringe)
    front = front + face.recession * (0.05 + 0.16 * bell(side - 0.45, 0.16))
    locks = 0.6 * np.sin(19 * u + 4 * face.parting) + 0.5 * np.sin(33 * u + 9 * face.hair_volume)
    front = front + 0.018 * locks * (0.4 + face.fringe + face.curl)
    front = front + 0.75 * face.baldness
    temple = 0.02 - 0.55 * ramp(0.15, 0.35, face.hair_length)
    turn = ramp(0.58, 0.90, side + 0.10 * face.recession)
    line = front + (temple - front) * turn
    outline = np.minimum(scene.hair_outline - np.abs(x), scene.hair_height - y)
    cap = np.minimum((v - line) * HEIGHT, outline)
    cap = np.minimum(cap, y - np.minimum(scene.hair_end, -0.02))
    cos, sin = np.cos(face.yaw), np.sin(face.yaw)
    around = px * cos - np.sqrt(np.maximum(1 - px * px, 0)) * sin
    around = around / np.where(px * sin > 0, cos * cos, 1)  # hair is not lost on the far side
    inner = 0.80 - 0.04 * face.hair_volume + 0.05 * ramp(0, -0.5, y) + 0.02 * np.sin(8 * y)
    curtain = np.minimum((np.abs(around) - inner) * scene.hair_width, outline)
    end = scene.hair_end - 0.04 * np.sin(11 * px) + 0.08 * ramp(1.1, 0.8, np.abs(px))
    curtain = np.minimum(np.minimum(curtain, y - end), 0.12 - y)
    long = scene.long_hair
    cover = np.maximum(
        covered(cap, scene.pixel * 1.6), long * covered(curtain, scene.pixel * 1.6)
    ) * ramp(1.0, 0.85, face.baldness)
    shadow = ramp(-0.10, 0.0, np.maximum(cap, np.where(long > 0, curtain, -1)))
    on_face = scene.px**2 + scene.py**2 < 1
    lay(image, scene.skin * 0.20, 0.38 * shadow * on_face * ramp(0.9, 0.3, face.baldness))
    lit = light_on(face, scene, px, py, depth + 0.15, wrap=0.2)
    lx, ly, _ = scene.light
    band = bell(v - 0.62 - 0.25 * ly - 0.35 * px * lx, 0.20) * (1 + 0.6 * scene.strands)
    gloss = (0.30 * (1 - 0.6 * face.curl) * band * (0.4 + 0.6 * lit[:, 0]))[:, None]
    colour = scene.hair_colour * (0.30 + 0.80 * lit) * (1 + 0.26 * scene.strands)[:, None]
    colour = colour + gloss * (0.06 + 0.8 * scene.hair_colour)
    lay(image, colour, cover)


def beard(face, scene, image) -> None:
    u, v = scene.u, scene.v
    full = ramp(0.3, 1.0, face.beard)
    cheek = -0.36 + 1.15 * u * u - v
    lip = bell(u, 0.13) * bell(v + 0.60, 0.045)
    whiskers = ramp(-0.05, 0.12, cheek) * (1 - 0.6 * lip)
    moustache = ramp(0.065, 0.02, np.abs(v + 0.375 + 0.9 * u * u)) * ramp(0.26, 0.17, np.abs(u))
    cover = np.maximum(whiskers * ramp(0, 0.25, face.beard), moustache * face.moustache)
    alpha = cover * (0.30 + 0.62 * np.maximum(full, face.moustache * (cover > whiskers)))
    present = np.maximum(face.beard, face.moustache) > 0
    grown = 1 + 0.10 * full
    edge = (1 - np.sqrt(scene.px**2 + (scene.py / grown) ** 2)) * 0.52
    grain = 1 + 0.12 * np.sin(47 * u + 9 * np.sin(7 * v)) * np.sin(12 * v - 5 * u * u)
    colour = scene.hair_colour * 0.85 * (0.25 + 0.75 * scene.head_light) * grain[:, None]
    lay(image, colour, present * alpha * covered(edge, scene.pixel * 2))


def brow(face, scene, image, sign: int) -> None:
    u = sign * scene.u - 0.312 - 0.02 * face.eye_spacing
    t = u / 0.19
    raised = 0.275 + 0.05 * face.brow_raise + 0.012 * face.eye_openness
    line = raised + 0.036 * face.brow_tilt * t + 0.030 * (0.6 - (t - 0.25) ** 2)
    thick = (0.036 + 0.016 * face.brow_thickness) * np.clip(1.15 - 0.45 * t, 0.3, 1.3)
    alpha = stroke(scene.v - line, thick, scene.fine * 2.2) * ramp(1.08, 0.85, np.abs(t))
    dark = np.minimum(scene.hair_colour, 0.22) * 0.55 + scene.skin * 0.05
    lay(image, dark, alpha * (0.72 + 0.2 * face.brow_thickness.clip(0)))
