"""The fingerprint: it has the kind of device, and a CPU's is that without an entry."""

from mmder_prep.pipeline.fingerprint import (
    DEVICE_KEY,
    DEVICE_KINDS,
    compute_fingerprint,
    device_kind,
    fingerprint_digest,
)


def test_each_kind_of_device_has_a_fingerprint_of_its_own() -> None:
    digests = {fingerprint_digest(compute_fingerprint(kind)) for kind in DEVICE_KINDS}
    assert len(digests) == len(DEVICE_KINDS)
    cpu, cuda = (dict(compute_fingerprint(kind)) for kind in ("cpu", "cuda"))
    assert cuda == cpu | {DEVICE_KEY: "cuda"}
    assert compute_fingerprint() == compute_fingerprint("cpu")


def test_the_number_of_a_gpu_is_not_part_of_its_kind() -> None:
    assert [device_kind(d) for d in ("cpu", "cuda", "cuda:1")] == [
        "cpu",
        "cuda",
        "cuda",
    ]
