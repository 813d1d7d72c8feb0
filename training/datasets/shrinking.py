"""An image made small, whatever it is: in RGB, turned upright, without trusting what it says of itself."""

import warnings
from io import BytesIO

from PIL import Image, ImageOps

from training.datasets.images import FORMATS, MAX_PIXELS, BadImage


def image_shrink(content: bytes, side: int) -> Image.Image:
    """The image in RGB, as its EXIF data turn it, its longer side of `side` pixels. Raises BadImage."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return _read(content, side)
    except BadImage:
        raise
    except Exception as error:  # Pillow raises nearly anything on broken files
        raise BadImage("the image is damaged") from error


def _read(content: bytes, side: int) -> Image.Image:
    with Image.open(BytesIO(content), formats=FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise BadImage("the image has too many pixels")
        image.draft("RGB", (2 * side, 2 * side))  # a JPEG is decoded no larger than needed
        upright = ImageOps.exif_transpose(image).convert("RGB")
    scale = side / max(upright.size)
    size = max(1, round(upright.width * scale)), max(1, round(upright.height * scale))
    return upright.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
