"""A head guessed from five landmarks: where its surface lies, and how the photo lights it.

Lengths are in eye distances: x to the viewer's right, y down, z towards the viewer, the origin between the eyes.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facefill.arrays import F32, U8
from facefill.errors import InputError

Floats = NDArray[np.floating]

NOSE_Z, MOUTH_Z = 0.55, 0.25
NOSE_SHARE = 0.6  # how far down from the eyes to the mouth the nose tip lies: the median of 12,000 aligned faces
MOUTH_Y = 1.03

# Horizontal slices through head and neck, by height: half width, the z of its widest place, the z of its front without
# the nose, and how far nose and chin lift a cloth that spans them. Rounded from adult anthropometry (63 mm = 1).
SLICE_Y = np.array([-0.6, 0.0, 0.3, 0.6, 0.9, 1.2, 1.45, 1.7, 1.9, 2.2, 2.8])
HALF_WIDTH = np.array([1.14, 1.16, 1.16, 1.13, 1.07, 0.97, 0.86, 0.72, 0.66, 0.68, 0.78])
WIDEST_Z = np.array([-0.8, -0.75, -0.7, -0.65, -0.6, -0.5, -0.4, -0.3, -0.35, -0.5, -0.6])
FRONT_Z = np.array([0.12, 0.12, 0.2, 0.24, 0.27, 0.27, 0.25, 0.18, 0.02, -0.1, -0.15])
RIDGE_Z = np.array([0.05, 0.12, 0.24, 0.36, 0.26, 0.16, 0.12, 0.06, 0.0, 0.0, 0.0])
STEP_Y = 0.01  # the tables again in even steps: looking up is cheaper than interpolating
EVEN_Y = np.arange(SLICE_Y[0], SLICE_Y[-1], STEP_Y)
SLICES = np.stack([np.interp(EVEN_Y, SLICE_Y, table) for table in (HALF_WIDTH, WIDEST_Z, FRONT_Z, RIDGE_Z)])


@dataclass(frozen=True)
class Head:
    """Pose and size of a head; `scale` is the eye distance in pixels as seen from the front."""

    size: int
    origin: Floats
    across: Floats
    down: Floats
    scale: float
    stretch: float
    yaw: float
    pitch: float

    @classmethod
    def from_landmarks(cls, landmarks: Floats, size: int) -> "Head":
        """Solve yaw, pitch, roll and the face's own length from (5, 2) landmarks in pixels.

        The nose tip stands out from the plane of eyes and mouth: sideways it tells the yaw, up and down the pitch.
        Raises InputError when the landmarks cannot belong to an upright face in a picture of this size.
        """
        points = check_landmarks(landmarks, size)
        eyes, mouth = points[:2].mean(0), points[3:].mean(0)
        eye_line = points[1] - points[0]
        distance = float(np.hypot(*eye_line))
        across = eye_line / distance
        nose_x = float((points[2] - eyes) @ across)
        mouth_x = float((mouth - eyes) @ across)
        length = float(np.hypot(*(mouth - eyes)))
        share = float((points[2] - eyes) @ (mouth - eyes)) / length**2
        tangent = (nose_x - share * mouth_x) / (NOSE_Z - share * MOUTH_Z) / distance
        yaw = float(np.clip(np.arctan(tangent), -1.0, 1.0))
        scale = distance / np.cos(yaw)
        tilt = (mouth_x - scale * MOUTH_Z * np.sin(yaw)) / length  # eyes and mouth disagree about the roll: halve it
        roll = np.arctan2(across[1], across[0]) - 0.5 * float(np.clip(tilt, -0.3, 0.3))
        across = np.array([np.cos(roll), np.sin(roll)])
        height = length / scale
        lift = (NOSE_SHARE - share) * height / (NOSE_Z - NOSE_SHARE * MOUTH_Z)
        pitch = float(np.arcsin(np.clip(lift, -0.4, 0.4)))
        stretch = float(np.clip((height + MOUTH_Z * np.sin(pitch)) / MOUTH_Y, 0.7, 1.5))
        down = np.array([-across[1], across[0]])
        return cls(size, eyes, across, down, float(scale), stretch, yaw, pitch)

    def turn(self, points: Floats) -> Floats:
        """(..., 3) points of the head -> (..., 3): right and down in the picture's plane before the roll, and depth."""
        x, y, z = points[..., 0], points[..., 1], points[..., 2]
        right = x * np.cos(self.yaw) + z * np.sin(self.yaw)
        depth = z * np.cos(self.yaw) - x * np.sin(self.yaw)
        near = 1 + 0.05 * depth
        out = np.empty_like(points)
        out[..., 0], out[..., 2] = right * near, depth
        out[..., 1] = (y * self.stretch - depth * np.sin(self.pitch)) * near
        return out

    def place(self, turned: Floats) -> Floats:
        """Turned points (..., 2 or 3) -> pixels (..., 2)."""
        return np.asarray(self.origin + self.scale * (turned[..., :1] * self.across + turned[..., 1:2] * self.down))

    def project(self, points: Floats) -> Floats:
        """(..., 3) points of the head -> pixels (..., 2)."""
        return self.place(self.turn(points))


def check_landmarks(landmarks: Floats, size: int) -> Floats:
    """Return the landmarks as (5, 2) float64; raises InputError when no upright face can have them."""
    points = np.asarray(landmarks, np.float64)
    fix = "give eye, eye, nose, mouth corner, mouth corner of an upright face in pixels, the viewer's left first"
    if points.shape != (5, 2) or not np.isfinite(points).all():
        raise InputError("5 landmarks (x, y)", f"an array of shape {points.shape} or with gaps", fix)
    if points.min() < -0.5 * size or points.max() > 1.5 * size:
        raise InputError(f"landmarks in a picture of {size} px", f"{points.min():.0f} to {points.max():.0f}", fix)
    distance = float(np.hypot(*(points[1] - points[0])))
    if distance < 0.06 * size or points[1, 0] <= points[0, 0]:
        raise InputError("two eyes side by side", f"eyes {distance:.1f} px apart in {size} px or swapped", fix)
    down = np.array([points[0, 1] - points[1, 1], points[1, 0] - points[0, 0]]) / distance
    drop = float((points[3:].mean(0) - points[:2].mean(0)) @ down)
    if not 0.4 * distance < drop < 6 * distance:
        raise InputError("a mouth below the eyes", f"one {drop:.1f} px below eyes {distance:.1f} px apart", fix)
    return points


def surface(angle: Floats, y: Floats, lift: float = 1.0, width: float = 1.0) -> Floats:
    """Points (..., 3) of the skin, or of a cloth over it, at an azimuth (0 front, + viewer's right) and a height.

    lift: 1 follows nose and chin, below 1 lies flatter.
    """
    index = np.clip((y - (SLICE_Y[0] - 0.5 * STEP_Y)) * (1 / STEP_Y), 0, len(EVEN_Y) - 1).astype(int)
    half, back, front, ridge = SLICES[:, index]
    x = half * width * np.sin(angle)
    z = back + (front - back) * np.cos(angle) + lift * ridge * np.exp(-((x / 0.36) ** 2))
    out = np.empty((*z.shape, 3))
    out[..., 0], out[..., 1], out[..., 2] = x, y, z
    return out


@dataclass(frozen=True)
class Light:
    """How the photo is lit and recorded, so that a cover can be lit and recorded alike.

    level: brightness of a white thing, 1 = 255. cast: RGB factors. toward: unit vector to the light, in picture axes.
    ambient: share of light that has no direction. field: (32, 32) relative brightness of the face. skin: RGB, 0-1.
    colour: 0 for a grey picture, 1 for an ordinary one. blur_px, noise: Gaussian sigma of the picture's own blur, and
    of its grain in grey levels. grid: where JPEG's blocks begin (x, y, each below 8) and of which quality they are;
    None where none are to be seen.
    """

    level: float
    cast: Floats
    toward: Floats
    ambient: float
    field: Floats
    skin: Floats
    colour: float
    blur_px: float
    noise: float
    grid: tuple[int, int, int] | None


GREY = np.array([0.299, 0.587, 0.114], np.float32)
CHEEKS = np.array([[-0.75, 0.7], [0.75, 0.7], [0.0, -0.45], [0.0, 1.45], [-0.45, 0.62], [0.45, 0.62]])


def estimate_light(face: U8, head: Head, rng: np.random.Generator) -> Light:
    """Read exposure, colour cast, light direction, blur and grain off the face picture."""
    small = cv2.resize(face, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    grey = small @ GREY
    spots = head.project(surface(CHEEKS[:, 0], CHEEKS[:, 1], 0.5)) * 32 / head.size
    columns, rows = np.clip(np.rint(spots - 0.5), 0, 31).astype(int).T
    colours = small[rows, columns]
    tones = grey[rows, columns] + 0.03
    skin = np.sort(colours, 0)[2:4].mean(0)
    inside = oval(head)
    field = cv2.GaussianBlur(grey * inside, (13, 13), 3) / cv2.GaussianBlur(inside, (13, 13), 3)
    field = np.clip(field * (1 / max(float((field * inside).sum() / inside.sum()), 0.02)), 0.45, 1.6)
    within = inside > 0.5
    bright, everywhere = np.sort(grey[within]), np.sort(grey, axis=None)
    top = float(bright[len(bright) * 9 // 10]) if len(bright) else float(everywhere[-1])
    level = 0.6 * top / 0.74 + 0.4 * float(everywhere[972]) / 0.9
    level = float(np.clip(level * rng.uniform(0.88, 1.12), 0.22, 1.1))
    whitest = small[grey >= everywhere[921]].mean(0) + 0.02
    cast = 1 + 0.45 * (whitest / float(whitest @ GREY) - 1)
    clear = grey >= max(0.2 * float(everywhere[-1]), 1e-3)
    hues = small[clear] / grey[clear][:, None] if clear.any() else np.ones((1, 3), np.float32)
    tinge = hues.mean(0)
    colour = float(np.clip(np.abs(hues - tinge).mean() / 0.015 - 1, 0, 1))  # sepia prints: all of one hue
    cast = cast * colour + tinge / float(tinge @ GREY) * (1 - colour)
    sideways = float(np.clip((tones[1] - tones[0]) / (tones[1] + tones[0]) * 2.2, -1, 1))
    upward = float(np.clip((tones[2] - tones[3]) / (tones[2] + tones[3]), -0.3, 0.6))
    toward = np.array([sideways + rng.normal(0, 0.15), -0.35 - upward + rng.normal(0, 0.15), rng.uniform(0.6, 1.0)])
    toward, cast, ambient = toward / np.linalg.norm(toward), np.clip(cast, 0.84, 1.16), float(rng.uniform(0.42, 0.68))
    return Light(level, cast, toward, ambient, field.astype(np.float32), skin, colour, *recording(face, head))


def oval(head: Head) -> Floats:
    """(32, 32) soft ellipse over the face: 1 inside, near 0 outside."""
    unit = 32 / head.size
    centre = head.project(np.array([0.0, 0.6, 0.1])) * unit - 0.5
    x = np.arange(32, dtype=np.float32)[None]
    y = np.arange(32, dtype=np.float32)[:, None]
    reach = head.scale * unit
    radius = ((x - centre[0]) / (0.95 * reach)) ** 2 + ((y - centre[1]) / (1.3 * reach * head.stretch)) ** 2
    return np.asarray(np.clip(2.5 - 2 * radius, 0.002, 1).astype(np.float32))


# Measured on 600 aligned faces blurred by known Gaussians.
DETAIL_RATIO = np.array([0.47, 0.52, 0.62, 0.87, 1.15])
DETAIL_BLUR = np.array([1.6, 1.2, 0.8, 0.45, 0.15])


# Measured on 150 aligned faces stored as JPEG: how much more neighbours differ across blocks than beside that, and the
# quality; of pictures without such blocks 98 % stay below 1.05.
SEAM_LEVELS = np.array([1.1, 1.41, 1.7, 1.93, 2.27, 2.75, 3.55])
SEAM_QUALITY = np.array([80, 70, 60, 50, 40, 30, 20])


def recording(face: U8, head: Head) -> tuple[float, float, tuple[int, int, int] | None]:
    """(blur in pixels, noise in grey levels, JPEG's grid as in `Light`) of the face's middle."""
    size = head.size
    top, left = size * 3 // 10, size // 5
    middle = np.ascontiguousarray(face[top : size * 3 // 4, left : size * 4 // 5])
    grey = cv2.cvtColor(middle, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return *grain(grey, size), find_grid(grey, left, top)


def grain(grey: Floats, size: int) -> tuple[float, float]:
    """(blur in pixels, noise in grey levels) of a grey cut-out, 0-255, of an aligned face in a picture of that side.

    Blur: the finest detail against the next coarser octave; a picture that was enlarged lacks the first. Noise: the
    Laplacian mask of Immerkaer (1996), on the quietest part so that skin texture counts little.
    """
    once = cv2.blur(grey, (3, 3))
    twice = cv2.blur(once, (5, 5))
    fine, coarse = float(cv2.absdiff(grey, once).mean()), float(cv2.absdiff(once, twice).mean()) + 1e-3
    ratio = fine / coarse
    blur_px = float(np.interp(ratio, DETAIL_RATIO, DETAIL_BLUR)) * size / 256
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    response = np.abs(cv2.filter2D(grey, -1, kernel)[1:-1:3, 1:-1:3]).ravel()
    quiet = float(np.partition(response, len(response) * 3 // 10)[len(response) * 3 // 10])
    return blur_px, float(np.clip(quiet / 0.385 / 6, 0.0, 9.0))


def find_grid(grey: Floats, left: int, top: int) -> tuple[int, int, int] | None:
    """JPEG's grid in a grey cut-out that begins at pixel (left, top) of its picture: see `Light`."""
    if min(grey.shape) < 48:
        return None
    starts, seams = [], []
    for values, first in ((grey[::2], left), (grey[:, ::2].T, top)):  # every other line tells enough
        steps = np.minimum(np.abs(values[:, 1:] - values[:, :-1]), 16).mean(0)
        means = steps[: len(steps) // 8 * 8].reshape(-1, 8).mean(0)
        k = int(means.argmax())
        starts.append((first + k + 1) % 8)
        seams.append(float(means[k] - (means[k - 1] + means[(k + 1) % 8]) / 2))
    seam = min(seams)
    if seam < SEAM_LEVELS[0]:
        return None
    return starts[0], starts[1], round(float(np.interp(seam, SEAM_LEVELS, SEAM_QUALITY)))


def find_hair(face: U8, head: Head, light: Light) -> F32:
    """(S / 2, S / 2): 1 where the picture is much darker than the skin beside the face: hair may hang there.

    Nothing counts within 0.7 eye distances of the face's middle line: there dark means a beard or a shadow.
    """
    half = head.size // 2
    small = cv2.resize(face, (half, half), interpolation=cv2.INTER_LINEAR)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY) * np.float32(1 / 255)
    skin = max(float(light.skin @ GREY), 0.05)
    dark = np.clip((np.float32(0.55 * skin) - grey) * np.float32(6 / skin), 0, 1)
    (x0, y0), (x1, y1) = head.project(np.array([[0.0, 0.0, 0.1], [0.0, 1.0, 0.2]])) / 2
    slope = (x1 - x0) / max(y1 - y0, 1.0)
    x = np.arange(half, dtype=np.float32)[None] - np.float32(x0)
    y = np.arange(half, dtype=np.float32)[:, None] - np.float32(y0)
    aside = np.abs(x - np.float32(slope) * y) * np.float32(16 / head.scale)
    return np.asarray(dark * np.clip(aside - np.float32(4.8), 0, 1), np.float32)
