"""Names are mapped reversibly, and never two onto one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric

from observability.adapters.mlflow import NAMES as MLFLOW
from observability.adapters.wandb import NAMES as WANDB
from observability.names import FOLDER, NameMapping, group_joined, group_split
from observability.tests.adapter_cast import NAMES

SHORT = NameMapping(re.compile(r"[^a-z]"), "%", limit=70)
MAPPINGS = [MLFLOW, WANDB, FOLDER, SHORT]
name = st.one_of(
    st.text(min_size=1, max_size=255),
    st.text("ab%:~/. ()-_x2F", min_size=1, max_size=12),
    st.sampled_from(NAMES),
)


@pytest.mark.parametrize("mapping", MAPPINGS)
@given(text=name)
def test_a_name_comes_back(mapping: NameMapping, text: str) -> None:
    encoded, digest = mapping.encode(text), mapping.digest(text)
    assert mapping.decode(encoded, {digest: text}) == text
    assert not mapping.limit or len(encoded) <= mapping.limit


@pytest.mark.parametrize("mapping", MAPPINGS)
@given(one=name, other=name)
def test_two_names_never_meet(mapping: NameMapping, one: str, other: str) -> None:
    assert (mapping.encode(one) == mapping.encode(other)) == (one == other)


@given(text=name)
def test_mlflow_takes_every_mapped_name(text: str) -> None:
    _validate_metric(MLFLOW.encode(text), 1.0, 0, 0)


@given(text=name)
def test_a_folder_stays_within_its_parent(text: str) -> None:
    folder = FOLDER.encode(text)
    assert folder and "/" not in folder and "\\" not in folder and not folder.startswith(".")
    assert len(folder.encode("utf-8", "surrogatepass")) <= 255


@given(one=name, other=name)
def test_a_name_in_two_parts_comes_back_and_meets_no_other(one: str, other: str) -> None:
    metric, variant = group_split(one)
    assert metric and variant and "-" not in metric
    assert group_joined(metric, variant) == one
    assert (f"{metric}-{variant}" == "-".join(group_split(other))) == (one == other)


def test_usual_names_stay_readable() -> None:
    assert MLFLOW.encode("metrics/mAP50-95(B)") == "metrics/mAP50-95:28B:29"
    assert MLFLOW.encode("한국어/손실") == "한국어/손실"
    assert group_split("train/box_loss") == ("train", "box_loss")
    assert group_split("loss") == ("loss", "loss")
    assert FOLDER.encode("Ours") == "Ours"


def test_a_shortened_name_needs_its_whole_text() -> None:
    with pytest.raises(KeyError):
        MLFLOW.decode(MLFLOW.encode("(" * 255))
