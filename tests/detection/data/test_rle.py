"""Run lengths and polygons equal those of the COCO tools to the pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as peer

from swinkit.detection.data.rle import (
    Segment,
    compress_counts,
    decode_segments,
    encode_masks,
    read_counts,
    read_segment,
    rle_areas,
)

# pycocotools has not followed NumPy 2 yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIZES = st.tuples(st.integers(1, 70), st.integers(1, 70))


def random_masks(seed: int, size_hw: tuple[int, int], count: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.random((count, *size_hw)) < rng.uniform(0.02, 0.98, (count, 1, 1))
    return coarse.astype(np.uint8)


@settings(max_examples=60, deadline=None)
@given(size_hw=SIZES, seed=st.integers(0, 10**6))
def test_codes_equal_the_peers_both_ways(size_hw: tuple[int, int], seed: int) -> None:
    masks = random_masks(seed, size_hw)
    segments = encode_masks(masks)
    for mask, segment in zip(masks, segments, strict=True):
        assert segment.counts == peer.encode(np.asfortranarray(mask))["counts"]
    np.testing.assert_array_equal(decode_segments(segments, size_hw), masks)


@settings(max_examples=100, deadline=None)
@given(size_hw=SIZES, seed=st.integers(0, 10**6), halves=st.booleans())
def test_polygons_equal_the_peers(size_hw: tuple[int, int], seed: int, halves: bool) -> None:
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(int(rng.integers(1, 4))):
        points = rng.uniform(-0.3, 1.3, (int(rng.integers(3, 12)), 2)) * size_hw[::-1]
        parts.append((np.round(points * 2) / 2 if halves else points).ravel())
    expected = peer.decode(
        peer.merge(peer.frPyObjects([part.tolist() for part in parts], *size_hw))
    )
    found = decode_segments([Segment(polygons=tuple(parts))], size_hw)
    np.testing.assert_array_equal(found[0], expected)


@settings(max_examples=60, deadline=None)
@given(size_hw=SIZES, seed=st.integers(0, 10**6))
def test_counts_and_areas_of_many_codes_at_once(size_hw: tuple[int, int], seed: int) -> None:
    masks = random_masks(seed, size_hw, count=5)
    codes = [segment.counts for segment in encode_masks(masks)]
    counts, ends = read_counts(codes)
    for code, part in zip(codes, np.split(counts, ends[:-1]), strict=True):
        assert compress_counts(part.tolist(), size_hw) == code
    assert rle_areas(codes, [size_hw] * 5).tolist() == masks.sum((1, 2)).tolist()


def test_areas_of_large_masks() -> None:
    masks = np.zeros((2, 3000, 4000), np.uint8)
    masks[0, 10:2990, 5:3990] = 1
    masks[1, 2999, 3999] = 1
    codes = [segment.counts for segment in encode_masks(masks)]
    assert rle_areas(codes, [(3000, 4000)] * 2).tolist() == [2980 * 3985, 1]


@pytest.mark.parametrize(
    "code",
    [b"", b"5", b"\xff\xff", b"PPPPPPPPPPPPPPPPPPPPPPPP1", b"P", b"0" * 9, b"o" * 40],
    ids=["empty", "short", "foreign", "overlong", "torn", "zeros", "endless"],
)
def test_spoilt_codes_have_no_area(code: bytes) -> None:
    sound = encode_masks(np.eye(9, dtype=np.uint8)[None])[0].counts
    areas = rle_areas([sound, code, sound], [(9, 9)] * 3)
    assert areas.tolist() == [9, -1, 9]


@settings(max_examples=200, deadline=None)
@given(code=st.binary(max_size=30))
def test_no_code_is_called_sound_that_the_decoder_refuses(code: bytes) -> None:
    area = int(rle_areas([code], [(5, 7)])[0])
    if area >= 0:
        found = decode_segments([Segment(counts=code, size_hw=(5, 7))], (5, 7))
        assert found.sum() == area


def test_plain_counts() -> None:
    mask = random_masks(1, (6, 5), 1)[0]
    changes = np.flatnonzero(np.diff(mask.ravel(order="F"), prepend=0)).tolist()
    counts = np.diff([0, *changes, 30]).tolist()
    segment = read_segment({"size": [6, 5], "counts": counts})
    assert isinstance(segment, Segment)
    np.testing.assert_array_equal(decode_segments([segment], (6, 5))[0], mask)


@pytest.mark.parametrize(
    "value",
    [
        {"size": [6, 5], "counts": [10, 10]},
        {"size": [6, 5], "counts": [-1, 31]},
        {"size": [6, 5], "counts": [0.5, 29.5]},
        {"size": [6, 5], "counts": ["a"]},
        {"size": [6], "counts": [30]},
        {"size": [0, 5], "counts": [0]},
        {"size": [6, 5], "counts": "é"},
        {"size": [6, 5]},
        [[1, 2, 3, 4]],
        [[1, 2, 3, float("nan"), 5, 6]],
        [[1, 2, 3, 1e300, 5, 6]],
        [["a", "b", "c", "d", "e", "f"]],
        [[[1, 2, 3], [4, 5, 6], [7, 8, 9]]],
        "nonsense",
    ],
)
def test_unusable_outlines_are_told(value: object) -> None:
    assert isinstance(read_segment(value), str)


def test_one_bare_polygon_is_understood() -> None:
    bare, listed = read_segment([1, 1, 5, 1, 5, 5]), read_segment([[1, 1, 5, 1, 5, 5]])
    assert isinstance(bare, Segment)
    assert isinstance(listed, Segment)
    np.testing.assert_array_equal(
        decode_segments([bare], (8, 8)), decode_segments([listed], (8, 8))
    )


@pytest.mark.parametrize("value", [None, [], {}])
def test_no_outline(value: object) -> None:
    assert read_segment(value) is None


@pytest.mark.parametrize("far", [1e6, 1e9, 1e12, 1e30])
def test_a_corner_far_outside_takes_no_memory(far: float) -> None:
    """A polygon of labelme or CVAT with such a corner took 22 GB."""
    rle = Segment(polygons=(np.array([1, 2, 30, 2, far, 20]),)).to_rle((40, 60))
    near = Segment(polygons=(np.array([1, 2, 30, 2, 1e5, 20]),)).to_rle((40, 60))
    assert rle == near
