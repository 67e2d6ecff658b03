"""Settings survive JSON, and invalid ones raise an error."""

import pytest

from mmder_store import PrepSettings, errors


def test_settings_survive_json_and_unknown_settings_are_an_error() -> None:
    settings = PrepSettings(step_frames=None, mfccs=13)
    assert PrepSettings.from_json(settings.to_json()) == settings
    with pytest.raises(errors.SettingsError, match="color missing or unknown"):
        PrepSettings.from_json(settings.to_json() | {"color": 1})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("step_frames", 0.0),
        ("step_frames", 1e9),
        ("face_margin", -1.0),
        ("hop_samples", 401),
        ("fft_window_samples", 513),
        ("mfccs", 65),
    ],
)
def test_settings_that_would_skip_audio_or_frames_are_an_error(
    field: str, value: float
) -> None:
    """A hop longer than the window, or a window longer than the transform, fails."""
    with pytest.raises(errors.SettingsError, match="expected"):
        PrepSettings(**{field: value})  # type: ignore[arg-type]
