"""What the guide says of adapters is what they declare; the example in it is the one that is tested."""

import dataclasses
from pathlib import Path

from observability.base import Losses
from observability.examples import jsonlines
from observability.reference import EXAMPLE, GUIDE, LOSSES, example_made, guide_made, losses_text


def test_the_guide_and_the_example_of_variables_are_up_to_date() -> None:
    for path, make in ((GUIDE, guide_made), (EXAMPLE, example_made)):
        assert path.read_text() == make(path.read_text()), f"run manage.py document_backends to renew {path.name}"


def test_every_loss_has_words() -> None:
    fields = {field.name for field in dataclasses.fields(Losses)} - {"notes"}
    assert fields == set(LOSSES)
    assert losses_text(Losses(float32=True, no_time=True)) == "Values are 32-bit floats; no times."
    assert losses_text(Losses(notes="All is well.")) == "All is well."


def test_the_example_adapter_is_short_and_the_guide_shows_it_whole() -> None:
    text = Path(jsonlines.__file__).read_text()
    assert len([line for line in text.splitlines() if line.strip()]) <= 30
    assert text.partition("\n\n")[2] in GUIDE.read_text()
