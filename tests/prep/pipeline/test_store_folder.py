"""The folder of a store: sizes in messages, and removal."""

import pytest

from mmder_prep.pipeline.store_folder import format_size


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (4096, "4.1 kB"),
        (20_000_000, "20.0 MB"),
        (2_500_000_000, "2.5 GB"),
    ],
)
def test_sizes_have_a_unit_that_fits(count: int, text: str) -> None:
    assert format_size(count) == text
