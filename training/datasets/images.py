"""Is a file an image that can be trained on? Asked without trusting it."""

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import Image, UnidentifiedImageError

SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
FORMATS = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")  # Pillow knows stranger ones, some run programs
MAX_PIXELS = 89_478_485  # a 24-bit picture of 256 MiB
MIN_SIDE = 10


class BadImage(ValueError):
    """Why the file can't be used, as the end of a sentence."""


def image_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels of a whole, readable image; BadImage otherwise.

    The size is judged from the header, before any pixel is decoded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size
                _size_judge(width, height)
                image.verify()
            _decode(path)
    except UnidentifiedImageError as error:
        raise BadImage("this is not an image") from error
    except Image.DecompressionBombError as error:
        raise BadImage(f"the image has more than the {MAX_PIXELS:,} pixels that are allowed") from error
    except BadImage:
        raise
    except Exception as error:  # Pillow raises nearly anything on broken files, SyntaxError among it
        reason = getattr(error, "strerror", None) or str(error)  # without the path, which the reader sees anyway
        raise BadImage(f"the image is damaged or can't be read ({reason})") from error
    return width, height


def duplicates(paths: Iterable[tuple[str, Path]]) -> Iterator[tuple[str, str]]:
    """(path, the earlier path with the same bytes), for (path, file) pairs; only files of one size are read."""
    by_size = defaultdict(list)
    for path, file in paths:
        by_size[file.stat().st_size].append((path, file))
    for same in by_size.values():
        seen: dict[bytes, str] = {}
        for path, file in same if len(same) > 1 else ():
            with file.open("rb") as opened:
                earlier = seen.setdefault(hashlib.file_digest(opened, "sha256").digest(), path)
            if earlier != path:
                yield path, earlier


def _size_judge(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise BadImage(f"{width} × {height} pixels are more than the {MAX_PIXELS:,} that are allowed")
    if min(width, height) < MIN_SIDE:
        raise BadImage(f"{width} × {height} pixels are too few: at least {MIN_SIDE} × {MIN_SIDE} are needed")


def _decode(path: Path) -> None:
    """Read the pixels once: `verify` looks at checksums only, and a JPEG has none.

    A JPEG is decoded at an eighth of its size, which reads all of its data at a fraction of the cost.
    """
    with Image.open(path, formats=FORMATS) as image:
        if image.format in ("JPEG", "MPO"):  # a JPEG with a second picture in it calls itself MPO
            image.draft("RGB", (max(1, image.width // 8), max(1, image.height // 8)))
            image.load()
        elif image.format != "PNG":  # a PNG's checksums have been read
            image.load()
