"""The specification survives being written to a store and read back."""

import json

from mmder_store.emotions import LABEL_SETS
from mmder_store.protocols import PROTOCOLS, FoldProtocol
from mmder_store.settings import PrepSettings
from mmder_store.store_spec import StoreSpec


def test_a_specification_is_read_back_unchanged() -> None:
    clips = FoldProtocol(
        name="clips-2",
        fold_of={"00001": 1, "00002": 2},
        only_trained=("00003",),
        source="lists of clips",
        speakers="unknown",
    )
    spec = StoreSpec(
        corpus="ours",
        clips=3,
        settings=PrepSettings(step_frames=None),
        label_sets=(LABEL_SETS["mafw-11"], LABEL_SETS["cremad-6-voice"]),
        protocols=(clips, PROTOCOLS["ravdess-avt-1"]),
        manifest_sha256="0" * 64,
    )
    assert StoreSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
