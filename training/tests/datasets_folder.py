"""A small YOLO folder for tests to spoil: two images for training, two for validation, a box in each."""

from io import BytesIO
from pathlib import Path

from PIL import Image

BOX = "0 0.5 0.5 0.2 0.2\n"
YAML = "path: .\ntrain: images/train\nval: images/val\nnames: [cat, dog]\n"
NAMES = ("train/a", "train/b", "val/c", "val/d")


def folder_write(top: Path) -> Path:
    write(top, "data.yaml", YAML)
    for number, name in enumerate(NAMES):
        write(top, f"images/{name}.png", picture(20 + number))
        write(top, f"labels/{name}.txt", BOX)
    return top


def write(top: Path, name: str, content: str | bytes) -> Path:
    path = top / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def picture(width: int = 20, height: int = 16, kind: str = "PNG") -> bytes:
    file = BytesIO()
    Image.new("RGB", (width, height), (width, height, 0)).save(file, kind)
    return file.getvalue()
