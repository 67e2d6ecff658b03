"""Histograms are reproducible and refer to nothing outside."""

import re

import numpy as np

from mmder_prep.quality.report import charts
from mmder_prep.quality.report.measures import MEASURES

BY_NAME = {m.name: m for m in MEASURES}


def test_a_chart_has_no_address_and_is_reproducible() -> None:
    """Clips beyond the limit are red; infinite values are not drawn."""
    values = np.array([0.0, 0.1, 0.97, np.nan, np.inf])
    svg = charts.histogram(BY_NAME["silence"], values)
    assert svg == charts.histogram(BY_NAME["silence"], values)
    assert "DTD" not in svg
    assert "href" not in re.sub(r'href="#', "", svg)
    assert charts.RED in svg
    assert charts.RED not in charts.histogram(BY_NAME["silence"], values[:2])
