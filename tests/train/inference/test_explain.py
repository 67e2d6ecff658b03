"""Images of occlusion maps have unique names and stay in their folder."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mmder_train.inference.explain import file_name


@given(ids=st.lists(st.text(min_size=1) | st.just("../../up"), unique=True))
def test_file_names_are_unique_and_stay_in_the_folder(ids: list[str]) -> None:
    names = [file_name(clip_id) for clip_id in ids]
    assert len(set(names)) == len(names)
    assert all(Path("maps", n).resolve().parent.name == "maps" for n in names)
    assert all(n and not n.startswith(".") and len(n) < 120 for n in names)
