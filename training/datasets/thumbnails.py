"""Small JPEGs of a dataset's pictures with the labels drawn, made when first looked at and kept."""

from collections.abc import Sequence
from io import BytesIO

from PIL import Image, ImageDraw

from training.datasets.images import BadImage
from training.datasets.pictures import Picture, Points, Shape, picture_shapes, pictures_key
from training.datasets.shrinking import image_shrink
from training.models import Dataset
from training.storage.store import ObjectMissing, external_store, internal_store

SIDES = {"small": 320, "large": 1280}  # pixels of the longer side
MAX_BYTES = 256 * 1024 * 1024
SHAPES = 2000  # more would hide the picture
Corners = list[tuple[float, float]]
# in the order of the page's k0 to k11
COLOURS = (
    *("#4c7dff", "#ff7a1a", "#12b886", "#e64cc4", "#f2c200", "#ff4d5e"),
    *("#22b8cf", "#9b6bff", "#8bc34a", "#c97b4a", "#ff9ecb", "#a7b0c0"),
)


def thumbnail(dataset: Dataset, picture: Picture, size: str) -> bytes:
    """The picture as a JPEG, turned upright, with its objects drawn in the colours of their classes.

    `size` is a key of SIDES. Raises BadImage if the file is gone or is no
    image that the platform takes.
    """
    store, key = internal_store(), f"{pictures_key(dataset.prefix)}/{picture.number}-{size}.jpg"
    try:
        return store.get(key)
    except ObjectMissing:
        image = _open(f"{dataset.prefix}/{picture.path}", SIDES[size])
        drawn = _draw(image, picture_shapes(dataset, picture), dataset.task_type == "segmentation")
    store.put(key, drawn, durable=False)
    return drawn


def _open(key: str, side: int) -> Image.Image:
    """The image in RGB, as its EXIF data turn it, its longer side of `side` pixels."""
    stored = external_store().stat(key)
    if stored is None:
        raise BadImage("the file is gone")
    if stored.size > MAX_BYTES:
        raise BadImage("the file is too large to be shown")
    return image_shrink(external_store().get(key), side)


def _draw(image: Image.Image, shapes: Sequence[Shape], filled: bool) -> bytes:
    width = max(2, max(image.size) // 400)
    placed = [(_colour(shape), _pixels(shape.points, image), _pixels(shape.dots, image)) for shape in shapes[:SHAPES]]
    if filled:
        image = _filled(image, [(colour, corners) for colour, corners, _ in placed])
    pen = ImageDraw.Draw(image)
    for colour, corners, dots in placed:
        for ink, wide in (("#000000", width + 2), (colour, width)):
            pen.line([*corners, corners[0]], fill=ink, width=wide, joint="curve")
        for x, y in dots:
            pen.circle((x, y), max(image.size) / 64, fill=colour, outline="#000000")
    file = BytesIO()
    image.save(file, "JPEG", quality=82, optimize=True)
    return file.getvalue()


def _filled(image: Image.Image, places: Sequence[tuple[str, Corners]]) -> Image.Image:
    """The picture with each place tinted in its colour."""
    tints = Image.new("RGBA", image.size)
    pen = ImageDraw.Draw(tints)
    for colour, corners in places:
        pen.polygon(corners, fill=f"{colour}66")
    return Image.alpha_composite(image.convert("RGBA"), tints).convert("RGB")


def _colour(shape: Shape) -> str:
    return COLOURS[shape.number % len(COLOURS)]


def _pixels(points: Points, image: Image.Image) -> Corners:
    return [(_pixel(x, image.width), _pixel(y, image.height)) for x, y in points]


def _pixel(share: float, size: int) -> float:
    """Where a share of the image is in pixels; a label may name places far outside."""
    return max(-1.0, min(2.0, share)) * size if share == share else 0.0
