"""One person through the pictures of a clip: search a few, look closer at all.

The detector is imported where it is used: pictures that are not cropped to a face
never wait for torch.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from mmder_prep.faces import tracking
from mmder_prep.media.picture import CropResizer, Rectangle, VideoPicture

FIRST_FRAMES = (5, 10)
"""Of 16 pictures, those that are searched whole first."""
SECOND_FRAMES = (0, 5, 10, 15)
"""Those searched whole where not every one of the few shows one face."""
SETTLED_FRACTION = 0.1
"""Of its size, by which a box may still move in the last look."""
FACE_PX = 128
"""Size of a face in the copies for a closer look, whose network sees 48 of the square
around it in whole pixels: of 64 those would be steps of 1.6 % of a face."""
SIZES = (0.8, 1.0, 1.2)
"""Of the parts that the last look is taken at. What the network answers depends on how
much it is shown; the mean is steadier, and nearer to what is found at full size."""
ROOM = 0.35
"""Around all boxes, in sizes of the largest, that is in those copies."""


def find_track(
    pictures: Sequence[VideoPicture],
    times_s: Float64[np.ndarray, " frame"],
    region_px: Rectangle,
    device: str,
) -> tuple[tracking.Track | None, int]:
    """Find the person, on small copies first and on larger ones where none is seen.

    Two pictures are searched whole, four where those do not show one face each. From
    there on the box is known well enough for the detector's last network alone; where
    that is not sure, or the box will not settle, the picture is searched whole too.

    Returns:
        The track, or None; and the number of pictures in which the face was looked for.
    """
    from mmder_prep.faces.mtcnn import SEARCH_PX

    count = len(pictures)
    for longer_px, min_face_px in SEARCH_PX:
        hunt = FaceSearch(pictures, region_px, longer_px, min_face_px, device)
        hunt.search(FIRST_FRAMES)
        if any(len(hunt.found[p].scores) != 1 for p in FIRST_FRAMES):
            hunt.search(SECOND_FRAMES)
        track = tracking.link_detections(hunt.found, times_s)
        if track is None:
            hunt.search(range(2, count, 2))
            track = tracking.link_detections(hunt.found, times_s)
        if track is not None:
            hunt.look_closer(track)
            return tracking.link_detections(hunt.found, times_s), count
        if longer_px >= max(pictures[0].size_px):
            break
    return None, len(hunt.searched)


class FaceSearch:
    """Faces found so far, in pixels of the displayed pictures."""

    def __init__(
        self,
        pictures: Sequence[VideoPicture],
        region_px: Rectangle,
        longer_px: int,
        min_face_px: int,
        device: str,
    ) -> None:
        left, top, right, bottom = region_px
        scale = min(1.0, longer_px / max(pictures[0].size_px))
        size = round((right - left) * scale), round((bottom - top) * scale)
        self.pictures, self.region_px = pictures, region_px
        self.lens = CropResizer(region_px, (max(1, size[0]), max(1, size[1])))
        self.min_face_px, self.device = min_face_px, device
        self.found = [tracking.no_faces() for _ in pictures]
        self.searched: set[int] = set()

    def search(self, places: Sequence[int]) -> None:
        """Search some of the pictures whole, all in one call."""
        from mmder_prep.faces.mtcnn import detect

        places = [p for p in places if p not in self.searched]
        if not places:
            return
        self.searched.update(places)
        views = [self.lens.view(self.pictures[p]) for p in places]
        made = detect(views, min_face_px=self.min_face_px, device=self.device)
        for place, seen in zip(places, made, strict=True):
            self.found[place] = tracking.Detections(
                boxes_px=_out_of(self.lens, seen.boxes_px), scores=seen.scores
            )

    def look_closer(self, track: tracking.Track) -> None:
        """Bring a track's boxes to where the detector settles, in all pictures."""
        from mmder_prep.faces.mtcnn import THIRD, refine_boxes

        lens = _around(track)
        views = [lens.view(picture) for picture in self.pictures]
        known = np.flatnonzero(track.found)
        # What was found in a small copy first settles where it was found: all pictures
        # then start from there.
        seen, _ = refine_boxes(
            [views[place] for place in known],
            _into(lens, track.boxes_px[known]),
            sizes=(1.0,),
            device=self.device,
        )
        start = np.stack(
            [np.interp(np.arange(len(views)), known, edge) for edge in seen.T], axis=1
        )
        seen, scores = refine_boxes(views, start, sizes=SIZES, device=self.device)
        sure = (scores >= THIRD) & (tracking.jumps(start, seen) <= SETTLED_FRACTION)
        boxes_px = _out_of(lens, seen)
        for place in np.flatnonzero(sure):
            self.found[place] = tracking.Detections(
                boxes_px=boxes_px[place : place + 1], scores=scores[place : place + 1]
            )
        self.search([int(place) for place in np.flatnonzero(~sure)])


def _around(track: tracking.Track) -> CropResizer:
    """Make a lens that shows every place of a track, the face at a small size."""
    low, high = track.boxes_px[:, :2], track.boxes_px[:, 2:]
    size_px = (high - low).max(axis=1)
    room_px = ROOM * size_px.max()
    left, top = (int(edge) for edge in np.floor(low.min(axis=0) - room_px))
    right, bottom = (int(edge) for edge in np.ceil(high.max(axis=0) + room_px))
    scale = min(1.0, FACE_PX / float(np.median(size_px)))
    size = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    return CropResizer((left, top, right, bottom), size)


def _per_px(lens: CropResizer) -> Float64[np.ndarray, " edge"]:
    left, top, right, bottom = lens.rectangle_px
    width, height = lens.size_px
    return np.array([(right - left) / width, (bottom - top) / height] * 2)


def _out_of(
    lens: CropResizer, boxes: Float64[np.ndarray, "face 4"]
) -> Float64[np.ndarray, "face 4"]:
    """Bring boxes seen through a lens to pixels of the picture."""
    return np.asarray(boxes * _per_px(lens) + np.array(lens.rectangle_px[:2] * 2))


def _into(
    lens: CropResizer, boxes_px: Float64[np.ndarray, "face 4"]
) -> Float64[np.ndarray, "face 4"]:
    """Bring boxes in pixels of the picture to where a lens shows them."""
    return np.asarray((boxes_px - np.array(lens.rectangle_px[:2] * 2)) / _per_px(lens))
