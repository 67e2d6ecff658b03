"""Every clip is in exactly one job."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mmder_prep.media.clip import Clip
from mmder_prep.media.source import Source
from mmder_prep.pipeline.shard_plan import shard_jobs
from mmder_store import PrepSettings


@given(clips=st.integers(0, 50), shard_clips=st.integers(1, 20))
def test_jobs_cover_the_clips_in_their_order(clips: int, shard_clips: int) -> None:
    """Every job but the last is a full shard, and shards are numbered from 0."""
    source = Source(Path("x.mp4"))
    listed = [Clip(clip_id=f"c{i}", source=source) for i in range(clips)]
    jobs = shard_jobs(
        listed,
        store="s",
        shard_clips=shard_clips,
        settings=PrepSettings(),
        device="cpu",
        run="r",
    )
    assert [clip for job in jobs for clip in job.clips] == listed
    assert [job.shard for job in jobs] == list(range(-(-clips // shard_clips)))
    assert all(len(job.clips) == shard_clips for job in jobs[:-1])
