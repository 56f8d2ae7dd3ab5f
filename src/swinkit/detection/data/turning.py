"""Annotations of pictures that a camera stored lying, with a note in EXIF which way is up.

Images are read upright. Some tools write boxes in the pixels as stored, some upright boxes beside
the size as stored. H W map as stored, N objects.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from swinkit.data.problems import Problems
from swinkit.detection.data.annotations import RawImage, RawObjects
from swinkit.detection.data.rle import Segment, decode_segments, encode_masks
from swinkit.settings import SizeHW

FIT_TOLERANCE = 1.0  # pixels that a box may reach over the edge


def make_upright(
    objects: RawObjects,
    images: list[RawImage],
    sizes: list[SizeHW | None],
    turned: Mapping[int, int],
    problems: Problems,
) -> RawObjects:
    """The objects in the pixels of upright images.

    Args:
        objects: boxes and outlines in pixels.
        images: the images.
        sizes: upright (height, width) of each usable image.
        turned: rows of images whose stated size is that of the pixels as stored, with the value of
            the EXIF tag, 5 to 8.
        problems: is told what was done for each of them.
    """
    lying = [row for row in turned if sizes[row] is not None]
    if not lying:
        return objects
    upright = boxes_are_upright(objects, sizes, lying)
    for row in lying:
        done = (
            "its boxes fit the upright picture: taken as they are"
            if upright
            else "its boxes are those of the stored pixels: turned"
        )
        problems.add("picture turned by EXIF", images[row].path or images[row].where, done)
    if upright:
        return objects
    boxes = objects.boxes_xyxy.copy()
    segments = None if objects.segments is None else list(objects.segments)
    for index in np.flatnonzero(np.isin(objects.images, lying)).tolist():
        row = int(objects.images[index])
        height, width = sizes[row] or (0, 0)
        stored_hw = (width, height)
        corners = turn_points(boxes[index].reshape(2, 2), stored_hw, turned[row])
        boxes[index] = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
        segment = None if segments is None else segments[index]
        if segments is not None and segment is not None:
            segments[index] = turn_segment(segment, stored_hw, turned[row])
    return replace(objects, boxes_xyxy=boxes, segments=segments)


def boxes_are_upright(objects: RawObjects, sizes: list[SizeHW | None], lying: list[int]) -> bool:
    """Whether the boxes of these images are those of the upright pictures.

    One tool wrote them all, so all are asked together: run lengths tell by their size, boxes by
    reaching out of one of the two frames. Where nothing tells, they are in the stated, stored one.
    """
    own = np.flatnonzero(np.isin(objects.images, lying))
    upright_hw = np.array([sizes[row] or (0, 0) for row in objects.images[own]], np.float64)
    far = objects.boxes_xyxy[own, 2:]  # N 2: x y
    fits_upright = (far <= upright_hw.reshape(-1, 2)[:, ::-1] + FIT_TOLERANCE).all(axis=1)
    fits_stored = (far <= upright_hw.reshape(-1, 2) + FIT_TOLERANCE).all(axis=1)
    votes = int((fits_upright & ~fits_stored).sum()) - int((fits_stored & ~fits_upright).sum())
    for index in own.tolist() if objects.segments is not None else ():
        segment = objects.segments[index] if objects.segments is not None else None
        size, upright = segment and segment.size_hw, sizes[objects.images[index]]
        if size and upright and upright[0] != upright[1]:
            votes += (size == upright) - (size == upright[::-1])
    return votes > 0


def turn_points(points: np.ndarray, stored_hw: SizeHW, orientation: int) -> np.ndarray:
    """(P, 2) points x y of the stored picture in the upright one."""
    height, width = stored_hw
    x, y = points[:, 0], points[:, 1]
    turned = {5: (y, x), 6: (height - y, x), 7: (height - y, width - x), 8: (y, width - x)}
    return np.stack(turned[orientation], axis=1)


def turn_segment(segment: Segment, stored_hw: SizeHW, orientation: int) -> Segment:
    """An outline of the stored picture in the upright one; run lengths of another size stay."""
    if segment.polygons:
        parts = (part.reshape(-1, 2) for part in segment.polygons)
        return Segment(
            polygons=tuple(turn_points(part, stored_hw, orientation).ravel() for part in parts)
        )
    if segment.size_hw != stored_hw:
        return segment
    mask = decode_segments([segment], stored_hw)[0]  # H W
    mirrored = {5: mask, 6: mask[::-1], 7: mask[::-1, ::-1], 8: mask[:, ::-1]}
    return encode_masks(mirrored[orientation].T[None])[0]
