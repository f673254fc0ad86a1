"""The head of drawn faces with its relief, ears, eyes, mouth and glasses."""

from __future__ import annotations

import numpy as np

from ot_latent import _face_paint as paint
from ot_latent._face_scene import bell, covered, lay, light_on, ramp, stroke


def nose(face, scene) -> None:
    """Coordinates of the nose, which stands out from the ball and moves further when it turns."""
    out = ramp(0.25, -0.2, scene.v)
    scene.nose_u = scene.u - 0.20 * np.sin(face.yaw) * out
    scene.nose_v = scene.v - 0.14 * np.sin(face.pitch) * out


def _relief(bumps, sign, nose_sign):
    """Slopes of a sum of bumps: (across, up, at, at, width, height, how high)."""
    slope_u = slope_v = 0
    for index, (a, b, a0, b0, wide, tall, amount) in enumerate(bumps):
        da, db = (a - a0) / wide, (b - b0) / tall
        bump = amount * np.exp(-da * da - db * db)
        mirrored = {2: nose_sign, 3: sign, 4: sign, 5: sign}.get(index, 1)
        slope_u = slope_u - 2 * bump * da / wide * mirrored
        slope_v = slope_v - 2 * bump * db / tall
    return 0.9 * slope_u, 0.9 * slope_v


def head(face, scene, image) -> None:
    """Skin with its relief, blush, folds and beard."""
    u, v = scene.u, scene.v
    side = np.abs(u)
    nose_v = -0.20 - 0.05 * face.nose_length
    nose(face, scene)
    un, vn = scene.nose_u, scene.nose_v
    wide = 1 + 0.25 * face.nose_width
    slope_u, slope_v = _relief(
        [
            (un, vn, 0, 0.02, 0.050 * wide, 0.22, 0.055),  # bridge
            (un, vn, 0, nose_v, 0.075 * wide, 0.085, 0.080),  # tip
            (np.abs(un), vn, 0.085 * wide, nose_v - 0.015, 0.04, 0.045, 0.022),  # wings
            (side, v, 0.30, 0.09, 0.17, 0.11, -0.055),  # sockets
            (side, v, 0.36, -0.20, 0.16, 0.16, 0.045 + 0.02 * face.smile),  # cheeks
            (side, v, 0.26, 0.30, 0.22, 0.09, 0.030),  # ridge of the brows
            (u, v, 0, -0.84, 0.16, 0.12, 0.035),  # chin
            (u, v, 0, -0.66, 0.14, 0.06, -0.020),  # below the lip
            (u, v, 0, -0.35, 0.03, 0.05, -0.008),  # philtrum
        ],
        np.sign(u),
        np.sign(un),
    )
    nx = 0.92 * scene.px - slope_u
    ny = 0.80 * scene.py - slope_v
    nz = scene.depth + 0.18
    lit = scene.head_light = light_on(face, scene, nx, ny, nz)
    lx, ly, lz = scene.light
    length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-6
    half = (nx * lx + ny * ly + nz * (lz + 1)) / (length * np.sqrt(2 + 2 * lz))
    gloss = 0.10 * np.maximum(half, 0) ** 24 * (0.5 + 0.5 * face.light_contrast)
    occluded = (
        1
        - 0.30 * bell(side - 0.27, 0.16) * bell(v - 0.13, 0.08)
        - 0.28 * bell(un, 0.10 * wide) * bell(vn - nose_v + 0.085, 0.035)
        - 0.22 * ramp(0.62, 1.0, scene.px * scene.px + scene.py * scene.py)
    )
    fold = np.abs(side - 0.155 - 0.5 * np.maximum(-v - 0.22, 0)) / 0.022
    depth = 0.17 * face.age + 0.10 * np.maximum(face.smile, 0)
    occluded -= depth * np.exp(-fold * fold) * ramp(-0.54, -0.42, v) * ramp(-0.20, -0.27, v)
    lines = np.sin(52 * v + 6 * u * u) * bell(v - 0.50, 0.11) * bell(u, 0.32)
    occluded -= 0.12 * np.maximum(face.age - 0.3, 0) * lines
    red = face.blush * bell(side - 0.36, 0.17) * bell(v + 0.18, 0.14)
    red = red + 0.5 * bell(un, 0.1) * bell(vn - nose_v, 0.09)
    skin = scene.skin * (1 + red[:, None] * paint.weights(0.02, -0.20, -0.16))
    skin = skin * lit * occluded[:, None] ** paint.weights(0.85, 1.1, 1.15) + gloss[:, None]
    edge = (1 - np.sqrt(scene.px**2 + scene.py**2)) * 0.52
    lay(image, skin, covered(edge, scene.pixel))
    nostril = bell(np.abs(un) - 0.055 * wide, 0.028) * bell(vn - nose_v + 0.062, 0.020)
    lay(image, skin * 0.22, 0.75 * nostril)


def ears(face, scene, image) -> None:
    sin = np.sin(face.yaw)
    for sign in (-1, 1):
        centre = sign * scene.width * (0.985 - 0.35 * np.abs(sin) * (sign * sin > 0))
        centre = centre - 0.10 * sin
        dx = (scene.x - centre) / (0.062 * (1 - 0.5 * sign * sin))
        dy = (scene.y - 0.02 - 0.25 * np.sin(-face.pitch) + 0.012 * np.abs(dx)) / 0.135
        far = np.sqrt(dx * dx + dy * dy)
        hollow = 1 - 0.45 * bell(far, 0.5)
        lit = light_on(face, scene, 0.5 * dx, 0.5 * dy, 0.8 + 0 * dx)
        tone = scene.skin * paint.weights(1.0, 0.86, 0.84)
        lay(image, tone * lit * hollow[:, None], covered((1 - far) * 0.07, scene.pixel))


def mouth(face, scene, image) -> None:
    u, v = scene.u, scene.v
    wide = 0.232 + 0.045 * face.smile + 0.03 * face.mouth_width - 0.03 * face.mouth_open
    t = np.clip(u / wide, -1, 1)
    bend = 0.055 * face.smile * (t * t - 0.35)
    middle = v + 0.50 - bend
    arch = 1 - t * t
    gap = (0.005 + 0.095 * face.mouth_open) * np.sqrt(arch)
    full = 0.056 * (1 + 0.35 * face.lips)
    bow = full * arch**0.8 * (1 - 0.16 * bell(u, 0.035)) * 0.85
    upper = gap * 0.35 + bow - middle
    lower = middle + gap * 0.65 + full * 1.15 * arch**0.7
    ends = (wide - np.abs(u)) * 0.6
    inside = np.minimum(np.minimum(upper, lower), ends)
    tint = face.lip_colour[:, None]
    lips = scene.skin * paint.weights(0.88, 0.56, 0.56)
    lips = lips + 0.75 * tint * (paint.constant(168, 36, 52) * (0.4 + scene.skin) - lips)
    lit = light_on(
        face, scene, scene.px, scene.py * 0.7 + 5 * np.clip(-middle - 0.04, -0.06, 0.03), 0.9
    )
    gloss = 0.08 * bell(middle + gap * 0.65 + full * 0.55, 0.016) * bell(u, 0.09)
    lay(image, lips * lit + gloss[:, None], covered(inside, scene.fine * 1.3) * 0.92)
    top, bottom = gap * 0.35 - middle, middle + gap * 0.65
    mouth = covered(np.minimum(np.minimum(top, bottom), ends), scene.fine)
    lay(image, scene.skin * 0.10 * paint.weights(1.2, 0.6, 0.6), mouth)
    teeth = np.minimum(np.minimum(top, bottom - 0.015), np.minimum(middle + 0.042, ends))
    white = paint.constant(232, 226, 214) * (0.55 + 0.3 * lit) * (1 - 0.5 * (t * t))[:, None]
    lay(image, white, covered(teeth, scene.fine) * ramp(0.12, 0.3, face.mouth_open))
    corner = bell(np.abs(u) - wide, 0.03) * bell(middle, 0.025)
    lay(image, scene.skin * 0.25, 0.45 * corner)
    under = bell(middle + gap * 0.65 + full * 1.15 + 0.035, 0.028) * bell(u, 0.13)
    lay(image, scene.skin * 0.35, 0.22 * under)


def eye(face, scene, image, sign: int) -> None:
    tilt = 0.10 * face.eye_tilt
    u = sign * scene.u - 0.312 - 0.02 * face.eye_spacing
    v = scene.v - 0.085 - tilt * u
    wide = 0.156 * (1 + 0.12 * face.eye_size)
    t = np.clip(u / wide, -1.2, 1.2)
    arch = np.maximum(1 - t * t, 0)
    open_ = (0.010 + 0.082 * face.eye_openness) * (1 + 0.18 * face.eye_size)
    lid = open_ * arch**0.75 * (1 - 0.12 * t)
    floor = -0.036 * (1 + 0.18 * face.eye_size) * arch * (0.6 + 0.4 * face.eye_openness)
    near = (np.abs(u) < 0.3) & (np.abs(v) < 0.3)
    opening = np.minimum(lid - v, v - floor)
    opening = np.minimum(opening, (wide - np.abs(u)) * 0.7)
    alpha = covered(opening, scene.fine) * near
    shade = 0.62 + 0.38 * ramp(0, 0.06, lid - v)
    ball = paint.constant(228, 222, 217) * shade[:, None] * (1 - 0.25 * t * t)[:, None]
    lit = 0.25 + 0.6 * light_on(face, scene, scene.px * 0.6, scene.py * 0.5, 0.9)
    lay(image, ball * lit, alpha)
    du = u - sign * (0.045 * face.gaze_x)
    dv = v - 0.012 - 0.022 * face.gaze_y
    far = np.sqrt(du * du + dv * dv)
    radius = 0.072
    ring = 1 - 0.55 * ramp(0.6 * radius, radius, far) - 0.25 * ramp(0, 0.05, dv)
    glow = 1 + 0.5 * bell(far - 0.04, 0.02) * ramp(0.02, -0.04, dv)
    colour = paint.iris(face.iris) * (ring * glow)[:, None] * (0.4 + 0.6 * lit)
    lay(image, colour, alpha * covered(radius - far, scene.fine))
    lay(image, paint.constant(8, 7, 8), alpha * covered(0.031 - far, scene.fine))
    glint_u = du - sign * 0.022 * np.sin(face.light_azimuth)
    glint = bell(np.hypot(glint_u, dv - 0.022), 0.017)
    lay(image, paint.constant(255, 255, 255), alpha * 0.85 * glint)
    ends = covered((wide * 1.06 - np.abs(u)), scene.fine) * near
    lash = stroke(v - lid - 0.006, 0.020 + 0.010 * face.makeup, scene.fine) * ends
    lay(image, scene.skin * 0.04, lash * (0.80 + 0.2 * face.makeup))
    rim = stroke(v - floor + 0.004, 0.010, scene.fine) * ends
    lay(image, scene.skin * 0.25, rim * 0.45)
    crease = stroke(v - lid - 0.042, 0.012, scene.fine * 1.5) * ends * ramp(-1.0, -0.2, t)
    lay(image, scene.skin * 0.30, crease * 0.5)
    bag = bell(v - floor + 0.055, 0.018) * bell(t, 0.8) * near
    lay(image, scene.skin * 0.35, bag * (0.06 + 0.16 * face.age))
    shadow = ramp(0, 0.02, v - lid) * ramp(0.12, 0.03, v - lid) * bell(t, 0.9) * near
    tint = paint.hue(face.cloth_hue, 0.5 + 0 * face.makeup, 0.45 + 0 * face.makeup)
    lay(image, tint, 0.30 * face.makeup * shadow)


def glasses(face, scene, image) -> None:
    u = scene.u - 0.09 * np.sin(face.yaw)
    v = scene.v - 0.08 - 0.05 * np.sin(face.pitch)
    side = np.abs(u) - 0.30
    power = 2.2 + 4 * (1 - face.glasses_round)
    wide = 0.200 + 0.025 * face.glasses_size
    tall = 0.130 + 0.035 * face.glasses_size + 0.03 * face.glasses_round
    dv = v + 0.02
    radius = (np.abs(side / wide) ** power + np.abs(dv / tall) ** power) ** (1 / power)
    edge = (1 - radius) * tall
    dark = paint.hue(face.cloth_hue, 0.5 * face.glasses_round, 0.12 + 0.45 * face.glasses_metal)
    thick = 0.040 - 0.024 * face.glasses_metal
    bridge = stroke(v - 0.02 + 0.3 * u * u, thick, scene.fine) * (np.abs(u) < 0.095)
    temple = stroke(v - 0.03, thick, scene.fine) * (side > wide)
    frame = np.maximum(stroke(edge, thick, scene.fine), np.maximum(bridge, temple))
    inside = scene.px**2 + scene.py**2 < 1.02
    lens = covered(edge, scene.fine)
    glare = bell(side - 0.5 * dv * np.sign(u) - 0.06, 0.035) * lens
    lay(image, paint.constant(250, 250, 255), 0.10 * face.glasses * (glare + 0.3 * lens))
    lay(image, scene.skin * 0.2, 0.25 * face.glasses * inside * stroke(edge + 0.02, 0.03, 0.03))
    lay(image, dark * (0.6 + 0.5 * scene.light[1][:, None]), face.glasses * frame * inside)
