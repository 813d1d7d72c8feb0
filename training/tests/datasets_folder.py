"""A small YOLO folder for tests to spoil: two images for training, two for validation, a box in each."""

from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

from django.conf import settings
from PIL import Image

from training.datasets.services import dataset_import
from training.models import Dataset

BOX = "0 0.5 0.5 0.2 0.2\n"
YAML = "path: .\ntrain: images/train\nval: images/val\nnames: [cat, dog]\n"
NAMES = ("train/a", "train/b", "val/c", "val/d")


def folder_write(top: Path) -> Path:
    write(top, "data.yaml", YAML)
    for number, name in enumerate(NAMES):
        write(top, f"images/{name}.png", picture(20 + number))
        write(top, f"labels/{name}.txt", BOX)
    return top


def small_dataset(cast: SimpleNamespace) -> Dataset:
    """That folder as the cast's dataset `small`, imported once: what a job needs that trains on data."""
    found = Dataset.objects.filter(organization=cast.organization, name="small").first()
    top = Path(settings.IMPORT_ROOTS[0]) / "small"
    return found or dataset_import(cast.organization, "small", folder_write(top), cast.owner)


def write(top: Path, name: str, content: str | bytes) -> Path:
    path = top / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def picture(width: int = 20, height: int = 16, kind: str = "PNG") -> bytes:
    file = BytesIO()
    Image.new("RGB", (width, height), (width, height, 0)).save(file, kind)
    return file.getvalue()
