"""Errors reach the main process unchanged."""

import pickle

from mmder_store import errors


def test_every_error_survives_pickling() -> None:
    """The type and the text are the same after pickling."""
    kinds = [
        e
        for e in vars(errors).values()
        if isinstance(e, type) and issubclass(e, errors.MmderError)
    ]
    assert len(kinds) >= 7
    for kind in kinds:
        copy = pickle.loads(pickle.dumps(kind("what, found, expected")))
        assert type(copy) is kind
        assert str(copy) == "what, found, expected"
