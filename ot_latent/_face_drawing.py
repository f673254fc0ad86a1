"""Pixels of drawn faces: layers from the background to the glasses, each a soft mask over a colour.

The head is a ball under an orthographic camera: a pixel is carried to the point of the ball that it
shows, turned by the pose, and the features are drawn at that point. ``u`` points to the right of the
image and ``v`` up, in units of half the head's height, from the point between the eyes and the mouth.
Light falls on the ball's normals, tilted by nose, cheeks, lips and sockets.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from ot_latent import _face_paint as paint

_HEIGHT = 0.64  # half the head's height; half the image is 1
_WIDTH = 0.475
_ASPECT = _WIDTH / _HEIGHT


def draw(factors: np.ndarray, side: int) -> np.ndarray:
    """Faces as (n, side, side, 3) uint8, from a structured array of factors."""
    face = _face(factors)
    scene = _place(face, side)
    image = _background(face, scene)
    _back_hair(face, scene, image)
    _shoulders(face, scene, image)
    _ears(face, scene, image)
    _head(face, scene, image)
    _mouth(face, scene, image)
    for sign in (-1, 1):
        _eye(face, scene, image, sign)
        _brow(face, scene, image, sign)
    _front_hair(face, scene, image)
    _glasses(face, scene, image)
    image *= 1.12 / (1 + 0.22 * image)  # bright parts saturate gently
    screen = np.sqrt(np.clip(image, 0, 1)) * 255 + 0.5
    return np.ascontiguousarray(screen.astype(np.uint8).transpose(0, 2, 3, 1))


def _face(factors: np.ndarray) -> SimpleNamespace:
    """Each factor as an array of shape (n, 1, 1)."""
    names = factors.dtype.names
    return SimpleNamespace(
        **{name: factors[name].astype(np.float32)[:, None, None] for name in names}
    )


def _place(face, side: int) -> SimpleNamespace:
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
    scene.width = _WIDTH * (1 + 0.08 * face.head_width)
    low = np.maximum(-scene.y / _HEIGHT, 0)
    scene.py = scene.y / (_HEIGHT * np.where(scene.y < 0, 1 + 0.05 * face.chin, 1))
    bend = scene.x - 0.10 * np.sin(face.yaw) * low  # the chin goes with the turn
    jaw = 1 + low * np.maximum(1.25 - low, 0) * (0.22 * face.jaw - 0.10)
    scene.px = bend / (scene.width * jaw)
    scene.u, scene.v, scene.depth = _turned(face, scene.px, scene.py)
    scene.u = scene.u * _ASPECT
    scene.fine = scene.pixel / _HEIGHT
    return scene


def _turned(face, px, py):
    """The point of the unit ball that is seen at (px, py), in the coordinates of the head."""
    pz = np.sqrt(np.maximum(1 - px * px - py * py, 0))
    cos, sin = np.cos(face.yaw), np.sin(face.yaw)
    qx, qz = px * cos - pz * sin, px * sin + pz * cos
    cos, sin = np.cos(face.pitch), np.sin(face.pitch)
    return qx, py * cos - qz * sin, pz


def _inside(distance, pixel):
    """Share of a pixel that is inside, from the signed distance to the edge, positive inside."""
    return np.clip(distance / pixel + 0.5, 0, 1)


def _stroke(distance, thickness, pixel):
    """Share of a pixel under a line, exact for lines thinner than a pixel as well."""
    half = thickness / 2
    return _inside(distance + half, pixel) - _inside(distance - half, pixel)


def _ramp(low, high, value):
    """0 below ``low``, 1 above ``high``, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _bell(distance, width):
    return np.exp(-((distance / width) ** 2))


def _lay(image, colour, alpha) -> None:
    """Lay a colour over the image."""
    layer = colour - image
    layer *= alpha[:, None]
    image += layer


def _background(face, scene):
    x, y = scene.screen_x, scene.screen_y
    along = np.cos(face.back_angle) * x + np.sin(face.back_angle) * y
    first = paint.hue(face.back_hue, face.back_saturation, face.back_brightness)
    second = paint.hue(
        face.back_hue + 0.12 * face.back_contrast,
        face.back_saturation,
        face.back_brightness * (1 - 0.45 * face.back_contrast),
    )
    image = first + _ramp(-1.2, 1.2, along)[:, None] * (second - first)
    size = 0.22 + 0.35 * face.back_blur
    for k, (radius, strength) in enumerate([(1.0, 0.5), (0.7, -0.35), (0.8, 0.4)]):
        turn = face.back_phase + 2.1 * k
        dx, dy = x - 0.95 * np.cos(turn), y - 0.75 * np.sin(1.7 * turn) - 0.2
        far = np.sqrt(dx * dx + dy * dy) / (size * radius)
        spot = 1 - _ramp(1 - face.back_blur, 1.05 + face.back_blur, far)
        image *= 1 + (strength * face.back_contrast * spot)[:, None]
    light = paint.light(0.5 * face.light_warmth)
    return (image * light * (1 - 0.18 * (x * x + y * y))[:, None]).astype(np.float32)


def _lit(face, scene, nx, ny, nz, wrap=0.35):
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


def _hair_shape(face, scene):
    """Half-width of the hair at each height, and the lower end of long hair."""
    volume = 1.07 + 0.17 * face.hair_volume
    scene.hair_width = scene.width * volume
    scene.hair_height = _HEIGHT * (1.045 + 0.13 * face.hair_volume)
    scene.hair_end = 0.25 - 1.25 * face.hair_length
    rise = np.clip(scene.y / scene.hair_height, -1, 1)
    arch = np.where(scene.y > 0, np.sqrt(np.maximum(1 - rise * rise, 0)), 1)
    drop = np.maximum(-scene.y, 0)
    wave = 0.03 * face.curl * np.sin(16 * scene.y + 3 * face.parting)
    taper = 1 + (0.16 * face.hair_volume - 0.04) * drop
    return scene.hair_width * (arch * taper + wave * _ramp(0, 0.3, drop))


def _strands(face, scene):
    """Streaks of hair that run from the crown, about 0."""
    v = np.clip(scene.y / scene.hair_height, -1.2, 1)
    along = (scene.x / scene.hair_width - 0.45 * face.parting) / (1.35 - 0.75 * v)
    bent = along + 0.05 * face.curl * np.sin(11 * v + 5 * along + face.back_phase)
    streaks = 0.5 * np.sin(23 * bent + 1.0) + 0.35 * np.sin(41 * bent + 2.5 * np.sin(9 * bent))
    curls = np.sin(19 * scene.x + 3 * np.sin(13 * scene.y)) * np.sin(17 * scene.y + face.parting)
    return streaks * (1 - 0.7 * face.curl) + 0.9 * face.curl * curls


def _back_hair(face, scene, image) -> None:
    scene.hair_outline = _hair_shape(face, scene)
    scene.hair_colour = paint.hair(face.hair_melanin, face.hair_red, face.grey)
    scene.strands = _strands(face, scene)
    long = _ramp(0.22, 0.34, face.hair_length) * _ramp(0.6, 0.3, face.baldness)
    below = scene.y - scene.hair_end - 0.03 * np.sin(9 * scene.x / scene.hair_width)
    edge = np.minimum(scene.hair_outline - np.abs(scene.x), below)
    edge = np.minimum(edge, scene.hair_height - scene.y)
    shade = 0.42 + 0.08 * scene.strands
    _lay(image, scene.hair_colour * shade[:, None], long * _inside(edge, scene.pixel * 1.5))


def _shoulders(face, scene, image) -> None:
    x, y = scene.body_x - 0.25 * face.roll, scene.body_y
    skin = paint.skin(face.skin_tone, face.undertone)
    scene.skin = skin
    neck = 0.235 + 0.035 * face.jaw + 0.02 * face.head_width
    flare = neck + 0.35 * np.maximum(-0.72 - y, 0) ** 1.2
    across = np.clip(x / flare, -1, 1)
    round_ = np.sqrt(1 - across * across)
    lit = _lit(face, scene, across, 0 * y, round_ + 0.2)
    chin = -_HEIGHT * (1 + 0.05 * face.chin)
    shadow = 1 - 0.62 * _ramp(chin - 0.34, chin + 0.10, y + 0.10 * np.abs(x))
    _lay(image, skin * lit * shadow[:, None], _inside(flare - np.abs(x), scene.pixel) * (y < -0.2))
    slope = -0.80 - 0.20 * np.abs(x) ** 1.6
    collar = -0.86 - 0.16 * face.collar + (0.9 + 0.8 * face.collar) * np.abs(x) ** 1.5
    cloth = paint.hue(face.cloth_hue, face.cloth_saturation, face.cloth_brightness)
    lit = _lit(face, scene, 0.75 * x, 0.45 + 0 * y, 0.7 + 0 * x)
    fold = 1 - 0.25 * _bell(collar - y - 0.03, 0.025) + 0.05 * np.sin(7 * x + 4 * y)
    alpha = _inside(np.minimum(slope, collar) - y, scene.pixel)
    _lay(image, cloth * lit * fold[:, None], alpha)


def _ears(face, scene, image) -> None:
    sin = np.sin(face.yaw)
    for sign in (-1, 1):
        centre = sign * scene.width * (0.985 - 0.35 * np.abs(sin) * (sign * sin > 0))
        centre = centre - 0.10 * sin
        dx = (scene.x - centre) / (0.062 * (1 - 0.5 * sign * sin))
        dy = (scene.y - 0.02 - 0.25 * np.sin(-face.pitch) + 0.012 * np.abs(dx)) / 0.135
        far = np.sqrt(dx * dx + dy * dy)
        hollow = 1 - 0.45 * _bell(far, 0.5)
        lit = _lit(face, scene, 0.5 * dx, 0.5 * dy, 0.8 + 0 * dx)
        tone = scene.skin * paint.weights(1.0, 0.86, 0.84)
        _lay(image, tone * lit * hollow[:, None], _inside((1 - far) * 0.07, scene.pixel))


def _head(face, scene, image) -> None:
    """Skin with its relief, blush, folds and beard."""
    u, v = scene.u, scene.v
    side = np.abs(u)
    nose_v = -0.20 - 0.05 * face.nose_length
    _nose(face, scene)
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
    lit = _lit(face, scene, nx, ny, nz)
    lx, ly, lz = scene.light
    length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-6
    half = (nx * lx + ny * ly + nz * (lz + 1)) / (length * np.sqrt(2 + 2 * lz))
    gloss = 0.10 * np.maximum(half, 0) ** 24 * (0.5 + 0.5 * face.light_contrast)
    occluded = (
        1
        - 0.30 * _bell(side - 0.27, 0.16) * _bell(v - 0.13, 0.08)
        - 0.28 * _bell(un, 0.10 * wide) * _bell(vn - nose_v + 0.085, 0.035)
        - 0.22 * _ramp(0.62, 1.0, scene.px * scene.px + scene.py * scene.py)
    )
    fold = np.abs(side - 0.155 - 0.5 * np.maximum(-v - 0.22, 0)) / 0.022
    depth = 0.17 * face.age + 0.10 * np.maximum(face.smile, 0)
    occluded -= depth * np.exp(-fold * fold) * _ramp(-0.54, -0.42, v) * _ramp(-0.20, -0.27, v)
    lines = np.sin(52 * v + 6 * u * u) * _bell(v - 0.50, 0.11) * _bell(u, 0.32)
    occluded -= 0.12 * np.maximum(face.age - 0.3, 0) * lines
    red = face.blush * _bell(side - 0.36, 0.17) * _bell(v + 0.18, 0.14)
    red = red + 0.5 * _bell(un, 0.1) * _bell(vn - nose_v, 0.09)
    skin = scene.skin * (1 + red[:, None] * paint.weights(0.02, -0.20, -0.16))
    skin = skin * lit * occluded[:, None] ** paint.weights(0.85, 1.1, 1.15) + gloss[:, None]
    edge = (1 - np.sqrt(scene.px**2 + scene.py**2)) * 0.52
    _lay(image, skin, _inside(edge, scene.pixel))
    nostril = _bell(np.abs(un) - 0.055 * wide, 0.028) * _bell(vn - nose_v + 0.062, 0.020)
    _lay(image, skin * 0.22, 0.75 * nostril)
    _beard(face, scene, image, lit)


def _nose(face, scene) -> None:
    """Coordinates of the nose, which stands out from the ball and moves further when it turns."""
    out = _ramp(0.25, -0.2, scene.v)
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


def _beard(face, scene, image, lit) -> None:
    u, v = scene.u, scene.v
    full = _ramp(0.3, 1.0, face.beard)
    cheek = -0.36 + 1.15 * u * u - v
    lip = _bell(u, 0.13) * _bell(v + 0.60, 0.045)
    whiskers = _ramp(-0.05, 0.12, cheek) * (1 - 0.6 * lip)
    moustache = _ramp(0.065, 0.02, np.abs(v + 0.375 + 0.9 * u * u)) * _ramp(0.26, 0.17, np.abs(u))
    cover = np.maximum(whiskers * _ramp(0, 0.25, face.beard), moustache * face.moustache)
    alpha = cover * (0.30 + 0.62 * np.maximum(full, face.moustache * (cover > whiskers)))
    present = np.maximum(face.beard, face.moustache) > 0
    grown = 1 + 0.10 * full
    edge = (1 - np.sqrt(scene.px**2 + (scene.py / grown) ** 2)) * 0.52
    grain = 1 + 0.12 * np.sin(47 * u + 9 * np.sin(7 * v)) * np.sin(12 * v - 5 * u * u)
    colour = scene.hair_colour * 0.85 * (0.25 + 0.75 * lit) * grain[:, None]
    _lay(image, colour, present * alpha * _inside(edge, scene.pixel * 2))


def _mouth(face, scene, image) -> None:
    u, v = scene.u, scene.v
    wide = 0.232 + 0.045 * face.smile + 0.03 * face.mouth_width - 0.03 * face.mouth_open
    t = np.clip(u / wide, -1, 1)
    bend = 0.055 * face.smile * (t * t - 0.35)
    middle = v + 0.50 - bend
    arch = 1 - t * t
    gap = (0.005 + 0.095 * face.mouth_open) * np.sqrt(arch)
    full = 0.056 * (1 + 0.35 * face.lips)
    bow = full * arch**0.8 * (1 - 0.16 * _bell(u, 0.035)) * 0.85
    upper = gap * 0.35 + bow - middle
    lower = middle + gap * 0.65 + full * 1.15 * arch**0.7
    ends = (wide - np.abs(u)) * 0.6
    inside = np.minimum(np.minimum(upper, lower), ends)
    tint = face.lip_colour[:, None]
    lips = scene.skin * paint.weights(0.88, 0.56, 0.56)
    lips = lips + 0.75 * tint * (paint.constant(168, 36, 52) * (0.4 + scene.skin) - lips)
    lit = _lit(
        face, scene, scene.px, scene.py * 0.7 + 5 * np.clip(-middle - 0.04, -0.06, 0.03), 0.9
    )
    gloss = 0.08 * _bell(middle + gap * 0.65 + full * 0.55, 0.016) * _bell(u, 0.09)
    _lay(image, lips * lit + gloss[:, None], _inside(inside, scene.fine * 1.3) * 0.92)
    top, bottom = gap * 0.35 - middle, middle + gap * 0.65
    mouth = _inside(np.minimum(np.minimum(top, bottom), ends), scene.fine)
    _lay(image, scene.skin * 0.10 * paint.weights(1.2, 0.6, 0.6), mouth)
    teeth = np.minimum(np.minimum(top, bottom - 0.015), np.minimum(middle + 0.042, ends))
    white = paint.constant(232, 226, 214) * (0.55 + 0.3 * lit) * (1 - 0.5 * (t * t))[:, None]
    _lay(image, white, _inside(teeth, scene.fine) * _ramp(0.12, 0.3, face.mouth_open))
    corner = _bell(np.abs(u) - wide, 0.03) * _bell(middle, 0.025)
    _lay(image, scene.skin * 0.25, 0.45 * corner)
    under = _bell(middle + gap * 0.65 + full * 1.15 + 0.035, 0.028) * _bell(u, 0.13)
    _lay(image, scene.skin * 0.35, 0.22 * under)


def _eye(face, scene, image, sign: int) -> None:
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
    alpha = _inside(opening, scene.fine) * near
    shade = 0.62 + 0.38 * _ramp(0, 0.06, lid - v)
    ball = paint.constant(228, 222, 217) * shade[:, None] * (1 - 0.25 * t * t)[:, None]
    lit = 0.25 + 0.6 * _lit(face, scene, scene.px * 0.6, scene.py * 0.5, 0.9)
    _lay(image, ball * lit, alpha)
    du = u - sign * (0.045 * face.gaze_x)
    dv = v - 0.012 - 0.022 * face.gaze_y
    far = np.sqrt(du * du + dv * dv)
    radius = 0.072
    ring = 1 - 0.55 * _ramp(0.6 * radius, radius, far) - 0.25 * _ramp(0, 0.05, dv)
    glow = 1 + 0.5 * _bell(far - 0.04, 0.02) * _ramp(0.02, -0.04, dv)
    colour = paint.iris(face.iris) * (ring * glow)[:, None] * (0.4 + 0.6 * lit)
    _lay(image, colour, alpha * _inside(radius - far, scene.fine))
    _lay(image, paint.constant(8, 7, 8), alpha * _inside(0.031 - far, scene.fine))
    glint_u = du - sign * 0.022 * np.sin(face.light_azimuth)
    glint = _bell(np.hypot(glint_u, dv - 0.022), 0.017)
    _lay(image, paint.constant(255, 255, 255), alpha * 0.85 * glint)
    ends = _inside((wide * 1.06 - np.abs(u)), scene.fine) * near
    lash = _stroke(v - lid - 0.006, 0.020 + 0.010 * face.makeup, scene.fine) * ends
    _lay(image, scene.skin * 0.04, lash * (0.80 + 0.2 * face.makeup))
    rim = _stroke(v - floor + 0.004, 0.010, scene.fine) * ends
    _lay(image, scene.skin * 0.25, rim * 0.45)
    crease = _stroke(v - lid - 0.042, 0.012, scene.fine * 1.5) * ends * _ramp(-1.0, -0.2, t)
    _lay(image, scene.skin * 0.30, crease * 0.5)
    bag = _bell(v - floor + 0.055, 0.018) * _bell(t, 0.8) * near
    _lay(image, scene.skin * 0.35, bag * (0.06 + 0.16 * face.age))
    shadow = _ramp(0, 0.02, v - lid) * _ramp(0.12, 0.03, v - lid) * _bell(t, 0.9) * near
    tint = paint.hue(face.cloth_hue, 0.5 + 0 * face.makeup, 0.45 + 0 * face.makeup)
    _lay(image, tint, 0.30 * face.makeup * shadow)


def _brow(face, scene, image, sign: int) -> None:
    u = sign * scene.u - 0.312 - 0.02 * face.eye_spacing
    t = u / 0.19
    raised = 0.275 + 0.05 * face.brow_raise + 0.012 * face.eye_openness
    line = raised + 0.036 * face.brow_tilt * t + 0.030 * (0.6 - (t - 0.25) ** 2)
    thick = (0.036 + 0.016 * face.brow_thickness) * np.clip(1.15 - 0.45 * t, 0.3, 1.3)
    alpha = _stroke(scene.v - line, thick, scene.fine * 2.2) * _ramp(1.08, 0.85, np.abs(t))
    dark = np.minimum(scene.hair_colour, 0.22) * 0.55 + scene.skin * 0.05
    _lay(image, dark, alpha * (0.72 + 0.2 * face.brow_thickness.clip(0)))


def _front_hair(face, scene, image) -> None:
    """The cap above the hairline, and the curtains beside the face where hair is long."""
    x, y = scene.x, scene.y
    px, py = x / scene.hair_width, y / scene.hair_height
    u, v, depth = _turned(face, px, py)
    side = np.abs(u)
    part = 0.55 * face.parting
    away = u - part
    sweep = 0.10 * face.fringe * np.sign(part + 1e-6) * away
    front = 0.60 - 0.26 * face.fringe + sweep
    front = front + 0.11 * (0.3 + face.fringe) * _bell(away, 0.16 + 0.1 * face.fringe)
    front = front + face.recession * (0.05 + 0.16 * _bell(side - 0.45, 0.16))
    front = front + 0.018 * np.sin(21 * u + 4 * face.parting) * (0.4 + face.fringe + face.curl)
    front = front + 0.75 * face.baldness
    temple = 0.02 - 0.55 * _ramp(0.15, 0.35, face.hair_length)
    turn = _ramp(0.58, 0.90, side + 0.10 * face.recession)
    line = front + (temple - front) * turn
    outline = np.minimum(scene.hair_outline - np.abs(x), scene.hair_height - y)
    cap = np.minimum((v - line) * _HEIGHT, outline)
    cap = np.minimum(cap, y - np.minimum(scene.hair_end, -0.02))
    cos, sin = np.cos(face.yaw), np.sin(face.yaw)
    around = px * cos - np.sqrt(np.maximum(1 - px * px, 0)) * sin
    around = around / np.where(px * sin > 0, cos * cos, 1)  # hair is not lost on the far side
    inner = 0.80 - 0.04 * face.hair_volume + 0.05 * _ramp(0, -0.5, y) + 0.02 * np.sin(8 * y)
    curtain = np.minimum((np.abs(around) - inner) * scene.hair_width, outline)
    end = scene.hair_end - 0.04 * np.sin(11 * px) + 0.08 * _ramp(1.1, 0.8, np.abs(px))
    curtain = np.minimum(np.minimum(curtain, y - end), 0.12 - y)
    long = _ramp(0.22, 0.34, face.hair_length)
    cover = np.maximum(
        _inside(cap, scene.pixel * 1.6), long * _inside(curtain, scene.pixel * 1.6)
    ) * _ramp(1.0, 0.85, face.baldness)
    shadow = _ramp(-0.10, 0.0, np.maximum(cap, np.where(long > 0, curtain, -1)))
    on_face = scene.px**2 + scene.py**2 < 1
    _lay(image, scene.skin * 0.20, 0.38 * shadow * on_face * _ramp(0.9, 0.3, face.baldness))
    lit = _lit(face, scene, px, py, depth + 0.15, wrap=0.2)
    lx, ly, _ = scene.light
    band = _bell(v - 0.62 - 0.25 * ly - 0.35 * px * lx, 0.20) * (1 + 0.6 * scene.strands)
    gloss = (0.30 * (1 - 0.6 * face.curl) * band * (0.4 + 0.6 * lit[:, 0]))[:, None]
    colour = scene.hair_colour * (0.30 + 0.80 * lit) * (1 + 0.26 * scene.strands)[:, None]
    colour = colour + gloss * (0.06 + 0.8 * scene.hair_colour)
    _lay(image, colour, cover)


def _glasses(face, scene, image) -> None:
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
    bridge = _stroke(v - 0.02 + 0.3 * u * u, thick, scene.fine) * (np.abs(u) < 0.095)
    temple = _stroke(v - 0.03, thick, scene.fine) * (side > wide)
    frame = np.maximum(_stroke(edge, thick, scene.fine), np.maximum(bridge, temple))
    inside = scene.px**2 + scene.py**2 < 1.02
    lens = _inside(edge, scene.fine)
    glare = _bell(side - 0.5 * dv * np.sign(u) - 0.06, 0.035) * lens
    _lay(image, paint.constant(250, 250, 255), 0.10 * face.glasses * (glare + 0.3 * lens))
    _lay(image, scene.skin * 0.2, 0.25 * face.glasses * inside * _stroke(edge + 0.02, 0.03, 0.03))
    _lay(image, dark * (0.6 + 0.5 * scene.light[1][:, None]), face.glasses * frame * inside)
