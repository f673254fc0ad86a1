"""The head of drawn faces with its relief, ears, eyes, mouth and glasses."""

from __future__ import annotations

import numpy as np

from ot_latent import _face_paint as paint
from ot_latent._face_scene import bell, covered, lay, light_on, ramp, stroke


def _place_nose(face, scene) -> None:
    """Coordinates of the nose, which stands out from the ball and moves further when it turns."""
    out = ramp(0.25, -0.2, scene.v)
    scene.nose_u = scene.u - 0.20 * np.sin(face.yaw) * out
    scene.nose_v = scene.v - 0.14 * np.sin(face.pitch) * out
    scene.nose_tip = -0.20 - 0.05 * face.nose_length
    scene.nose_width = 1 + 0.25 * face.nose_width


def _bump(u, v, at_u, at_v, wide, tall, amount):
    """Slopes across and up of a bump."""
    du, dv = (u - at_u) / wide, (v - at_v) / tall
    slope = -2 * amount * np.exp(-du * du - dv * dv)
    return slope * du / wide, slope * dv / tall


def _pair(u, *bump):
    """Slopes of two bumps, one on each side of the face."""
    across, up = _bump(np.abs(u), *bump)
    return across * np.sign(u), up


def _normals(face, scene):
    """Normals of the head: those of a flattened ball, tilted by the relief of the face."""
    u, v, un, vn, wide = scene.u, scene.v, scene.nose_u, scene.nose_v, scene.nose_width
    slopes = (
        _bump(un, vn, 0, 0.02, 0.050 * wide, 0.22, 0.050),  # bridge of the nose
        _bump(un, vn, 0, scene.nose_tip, 0.075 * wide, 0.085, 0.072),
        _pair(un, vn, 0.085 * wide, scene.nose_tip - 0.015, 0.04, 0.045, 0.020),  # its wings
        _pair(u, v, 0.30, 0.09, 0.17, 0.11, -0.050),  # sockets
        _pair(u, v, 0.36, -0.20, 0.16, 0.16, 0.040 + 0.018 * face.smile),  # cheeks
        _pair(u, v, 0.26, 0.30, 0.22, 0.09, 0.027),  # ridge of the brows
        _bump(u, v, 0, -0.84, 0.16, 0.12, 0.032),  # chin
        _bump(u, v, 0, -0.66, 0.14, 0.06, -0.018),  # below the lip
        _bump(u, v, 0, -0.35, 0.03, 0.05, -0.007),  # groove above the lip
    )
    across, up = (sum(part) for part in zip(*slopes, strict=True))
    return 0.92 * scene.px - across, 0.80 * scene.py - up, scene.depth + 0.18


def _gloss(face, scene, nx, ny, nz):
    lx, ly, lz = scene.light
    length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-6
    half = (nx * lx + ny * ly + nz * (lz + 1)) / (length * np.sqrt(2 + 2 * lz))
    return 0.10 * np.maximum(half, 0) ** 24 * (0.5 + 0.5 * face.light_contrast)


def _open_sky(face, scene):
    """How much light reaches sockets, folds and wrinkles."""
    u, v = scene.u, scene.v
    side = np.abs(u)
    below_nose = bell(scene.nose_u, 0.10 * scene.nose_width)
    sky = (
        1
        - 0.30 * bell(side - 0.27, 0.16) * bell(v - 0.13, 0.08)
        - 0.36 * below_nose * bell(scene.nose_v - scene.nose_tip + 0.085, 0.035)
        - 0.22 * ramp(0.62, 1.0, scene.px**2 + scene.py**2)
    )
    fold = bell(side - 0.155 - 0.5 * np.maximum(-v - 0.22, 0), 0.022)
    depth = 0.17 * face.age + 0.10 * np.maximum(face.smile, 0)
    sky -= depth * fold * ramp(-0.54, -0.42, v) * ramp(-0.20, -0.27, v)
    lines = np.sin(52 * v + 6 * u * u) * bell(v - 0.50, 0.11) * bell(u, 0.32)
    return sky - 0.12 * np.maximum(face.age - 0.3, 0) * lines


def head(face, scene, image) -> None:
    """Skin with its relief, blush and folds, and the nostrils."""
    _place_nose(face, scene)
    normals = _normals(face, scene)
    scene.head_light = light_on(face, scene, *normals)
    below_tip = scene.nose_v - scene.nose_tip
    red = face.blush * bell(np.abs(scene.u) - 0.36, 0.17) * bell(scene.v + 0.18, 0.14)
    red = red + 0.5 * bell(scene.nose_u, 0.1) * bell(below_tip, 0.09)
    skin = scene.skin * (1 + red[:, None] * paint.weights(0.02, -0.20, -0.16))
    # light that has been under the skin is red: shadows lose red last
    shade = _open_sky(face, scene)[:, None] ** paint.weights(0.85, 1.1, 1.15)
    skin = skin * scene.head_light * shade + _gloss(face, scene, *normals)[:, None]
    edge = (1 - np.sqrt(scene.px**2 + scene.py**2)) * 0.52
    lay(image, skin, covered(edge, scene.pixel))
    nostrils = bell(np.abs(scene.nose_u) - 0.055 * scene.nose_width, 0.028)
    lay(image, skin * 0.22, 0.75 * nostrils * bell(below_tip + 0.062, 0.020))


def ears(face, scene, image) -> None:
    sin = np.sin(face.yaw)
    for sign in (-1, 1):
        centre = sign * scene.width * (0.985 - 0.35 * np.abs(sin) * (sign * sin > 0))
        centre = centre - 0.10 * sin
        dx = (scene.x - centre) / (0.062 * (1 - 0.5 * sign * sin))
        dy = (scene.y - 0.02 - 0.25 * np.sin(-face.pitch) + 0.012 * np.abs(dx)) / 0.135
        far = np.sqrt(dx * dx + dy * dy)
        hollow = 1 - 0.45 * bell(far, 0.5)
        lit = light_on(face, scene, 0.5 * dx, 0.5 * dy, 0.8)
        tone = scene.skin * paint.weights(1.0, 0.86, 0.84)
        lay(image, tone * lit * hollow[:, None], covered((1 - far) * 0.07, scene.pixel))


def mouth(face, scene, image) -> None:
    u = scene.u
    wide = 0.232 + 0.045 * face.smile + 0.03 * face.mouth_width - 0.03 * face.mouth_open
    t = np.clip(u / wide, -1, 1)
    height = scene.v + 0.50 - 0.055 * face.smile * (t * t - 0.35)  # above the line between the lips
    arch = 1 - t * t
    gap = (0.005 + 0.095 * face.mouth_open) * np.sqrt(arch)
    full = 0.056 * (1 + 0.35 * face.lips)
    bow = 0.85 * full * arch**0.8 * (1 - 0.16 * bell(u, 0.035))
    top, bottom = 0.35 * gap - height, height + 0.65 * gap  # from the lips' inner edges
    ends = (wide - np.abs(u)) * 0.6
    rounding = 5 * np.clip(-height - 0.04, -0.06, 0.03)
    lit = light_on(face, scene, scene.px, 0.7 * scene.py + rounding, 0.9)
    lips = scene.skin * paint.weights(0.88, 0.56, 0.56)
    painted = paint.constant(168, 36, 52) * (0.4 + scene.skin)
    lips = lips + 0.75 * face.lip_colour[:, None] * (painted - lips)
    gloss = 0.08 * bell(bottom + 0.55 * full, 0.016) * bell(u, 0.09)
    inside = np.minimum(np.minimum(top + bow, bottom + 1.15 * full * arch**0.7), ends)
    lay(image, lips * lit + gloss[:, None], 0.92 * covered(inside, 1.3 * scene.fine))
    opening = covered(np.minimum(np.minimum(top, bottom), ends), scene.fine)
    lay(image, scene.skin * paint.weights(0.12, 0.06, 0.06), opening)
    teeth = np.minimum(np.minimum(top, bottom - 0.015), np.minimum(height + 0.042, ends))
    white = paint.constant(232, 226, 214) * (0.55 + 0.3 * lit) * (1 - 0.5 * t * t)[:, None]
    lay(image, white, covered(teeth, scene.fine) * ramp(0.12, 0.3, face.mouth_open))
    corners = bell(np.abs(u) - wide, 0.03) * bell(height, 0.025)
    lay(image, scene.skin * 0.25, 0.45 * corners)
    below = bell(bottom + 1.15 * full + 0.035, 0.028) * bell(u, 0.13)
    lay(image, scene.skin * 0.35, 0.22 * below)


def eye(face, scene, image, sign: int) -> None:
    """The right eye of the image, or the left one for sign -1."""
    u = sign * scene.u - 0.312 - 0.02 * face.eye_spacing  # outwards from the eye's middle
    v = scene.v - 0.085 - 0.10 * face.eye_tilt * u
    size = 1 + 0.18 * face.eye_size
    wide = 0.156 * (1 + 0.12 * face.eye_size)
    t = np.clip(u / wide, -1.2, 1.2)
    arch = np.maximum(1 - t * t, 0)
    lid = v - (0.010 + 0.082 * face.eye_openness) * size * arch**0.75 * (1 - 0.12 * t)
    floor = v + 0.036 * size * arch * (0.6 + 0.4 * face.eye_openness)
    near = (np.abs(u) < 0.3) & (np.abs(v) < 0.3)
    opening = np.minimum(np.minimum(-lid, floor), (wide - np.abs(u)) * 0.7)
    _eyeball(face, scene, image, sign, u, v, lid, t, covered(opening, scene.fine) * near)
    ends = covered(1.06 * wide - np.abs(u), scene.fine) * near
    lash = stroke(lid - 0.006, 0.020 + 0.010 * face.makeup, scene.fine) * ends
    lay(image, scene.skin * 0.04, lash * (0.80 + 0.2 * face.makeup))
    lay(image, scene.skin * 0.25, 0.45 * ends * stroke(floor + 0.004, 0.010, scene.fine))
    crease = stroke(lid - 0.042, 0.012, 1.5 * scene.fine) * ramp(-1.0, -0.2, t)
    lay(image, scene.skin * 0.30, 0.5 * ends * crease)
    bag = bell(floor + 0.055, 0.018) * bell(t, 0.8) * near
    lay(image, scene.skin * 0.35, bag * (0.06 + 0.16 * face.age))
    shadow = ramp(0, 0.02, lid) * ramp(0.12, 0.03, lid) * bell(t, 0.9) * near
    half = np.full_like(face.makeup, 0.5)
    lay(image, paint.hue(face.cloth_hue, half, half), 0.30 * face.makeup * shadow)


def _eyeball(face, scene, image, sign, u, v, lid, t, alpha) -> None:
    shade = (0.62 + 0.38 * ramp(0, 0.06, -lid)) * (1 - 0.25 * t * t)
    lit = 0.25 + 0.6 * light_on(face, scene, 0.6 * scene.px, 0.5 * scene.py, 0.9)
    lay(image, paint.constant(228, 222, 217) * shade[:, None] * lit, alpha)
    du, dv = u - sign * 0.045 * face.gaze_x, v - 0.012 - 0.022 * face.gaze_y
    far, radius = np.sqrt(du * du + dv * dv), 0.072
    ring = 1 - 0.55 * ramp(0.6 * radius, radius, far) - 0.25 * ramp(0, 0.05, dv)
    glow = 1 + 0.5 * bell(far - 0.04, 0.02) * ramp(0.02, -0.04, dv)
    colour = paint.iris(face.iris) * (ring * glow)[:, None] * (0.4 + 0.6 * lit)
    lay(image, colour, alpha * covered(radius - far, scene.fine))
    lay(image, paint.constant(8, 7, 8), alpha * covered(0.031 - far, scene.fine))
    glint = bell(np.hypot(du - sign * 0.022 * np.sin(face.light_azimuth), dv - 0.022), 0.017)
    lay(image, paint.constant(255, 255, 255), alpha * 0.85 * glint)


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
