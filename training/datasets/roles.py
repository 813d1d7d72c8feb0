"""Which file of the normal form is what, and which label belongs to which image."""

from training.datasets.images import SUFFIXES


def file_role(path: str) -> str:
    """What a file of the normal form is: image, label or metadata."""
    if path.startswith("labels/"):
        return "label"
    return "image" if path.startswith("images/") and f".{path.rsplit('.', 1)[-1].lower()}" in SUFFIXES else "metadata"


def label_path(image: str) -> str:
    """Where the normal form has the label of an image."""
    return "labels/" + image.removeprefix("images/").rsplit(".", 1)[0] + ".txt"
