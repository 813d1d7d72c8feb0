"""The picture that a model is to be tried on, checked at the door and written anew before anybody else opens it."""

import warnings
from dataclasses import dataclass
from io import BytesIO

from django.utils.translation import gettext
from PIL import Image, ImageOps, UnidentifiedImageError

from training.datasets.images import FORMATS, MIN_SIDE, BadImage

MAX_PIXELS = 40_000_000
MAX_SIDE = 4096  # what is larger is scaled down: no model sees more


@dataclass(frozen=True, slots=True)
class CleanPicture:
    """A picture as a JPEG, or a PNG where it was one: upright, in RGB, and without anything else that came with it."""

    content: bytes
    content_type: str
    width: int
    height: int


def picture_clean(content: bytes) -> CleanPicture:
    """Read a stranger's bytes. Raises BadImage, whose text ends a sentence that begins with the picture's name.

    The size is judged from the header, before a pixel is decoded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(BytesIO(content), formats=FORMATS) as image:
                _size_judge(*image.size)
                return _written(image)
    except UnidentifiedImageError as error:
        raise BadImage(gettext("is not a picture that can be read (JPEG, PNG, WebP, BMP or TIFF)")) from error
    except Image.DecompressionBombError as error:
        raise BadImage(gettext("has more than %(most)s pixels") % {"most": f"{MAX_PIXELS:,}"}) from error
    except BadImage:
        raise
    except Exception as error:  # Pillow raises nearly anything on broken files, SyntaxError among it
        raise BadImage(gettext("is damaged")) from error


def _size_judge(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise BadImage(
            gettext("has %(width)s × %(height)s pixels; at most %(most)s in all are taken")
            % {"width": f"{width:,}", "height": f"{height:,}", "most": f"{MAX_PIXELS:,}"}
        )
    if min(width, height) < MIN_SIDE:
        raise BadImage(
            gettext("has only %(width)s × %(height)s pixels; at least %(min_side)s × %(min_side)s are needed")
            % {"width": width, "height": height, "min_side": MIN_SIDE}
        )


def _written(image: Image.Image) -> CleanPicture:
    lossless = image.format == "PNG"
    image.draft("RGB", (MAX_SIDE, MAX_SIDE))
    upright = ImageOps.exif_transpose(image).convert("RGB")
    upright.thumbnail((MAX_SIDE, MAX_SIDE))
    file = BytesIO()
    upright.save(file, "PNG") if lossless else upright.save(file, "JPEG", quality=95)
    return CleanPicture(file.getvalue(), "image/png" if lossless else "image/jpeg", *upright.size)
