"""Open a store and iterate over its clips as numpy arrays."""

import sys

from mmder_store import open_store

store = open_store(sys.argv[1])
print(f"{len(store)} clips, arrays: {', '.join(store.arrays)}")
for clip in store.clips(["frames", "stft_16"]):
    frames, stft = clip.arrays["frames"], clip.arrays["stft_16"]
    if clip.status == "ok":
        print(clip.clip_id, clip.speaker, clip.emotion, frames.shape, stft.shape)
        break
