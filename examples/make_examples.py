"""Makes the example photos: NASA's portrait of Eileen Collins (public domain, as scikit-image ships it), with covers
drawn on it by `facefill.covers.wear`. Run it again to get the same files:

    python examples/make_examples.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from skimage.data import astronaut

from facefill.covers.wear import wear
from facefill.imaging.crop import Crop
from facefill.imaging.masks import dilate

LANDMARKS = np.array([[203.0, 106.5], [245.5, 104.5], [226.0, 131.0], [209.5, 148.0], [246.0, 146.0]])
"""The portrait's landmarks, (5, 2) x, y in pixels, set by eye: eyes, nose tip, mouth corners."""
COVERS = {"surgical": 2, "cloth": 0, "respirator": 2, "sunglasses": 3}
"""Kind of cover and the seed that it is drawn with."""

photo = astronaut()
crop = Crop.around_face(LANDMARKS, 256)
for kind, seed in COVERS.items():
    worn = wear(crop.take(photo), crop.to_crop(LANDMARKS), np.random.default_rng(seed), kind)
    # The soft shadow beside the cover belongs to the photo too.
    missing = crop.put_mask(dilate(worn.mask, 12), photo.shape)
    covered = crop.put(photo, worn.face, missing)
    Image.fromarray(covered).save(Path(__file__).with_name(f"astronaut-{kind}.jpg"), quality=95, subsampling=0)
