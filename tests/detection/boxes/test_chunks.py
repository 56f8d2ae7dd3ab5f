"""Chunks hold every member once, within the limit."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from swinkit.detection.boxes.chunks import chunks

side = st.integers(0, 30)


@given(st.lists(st.tuples(side, side), max_size=20), st.integers(1, 2000))
def test_chunks(members: list[tuple[int, int]], limit: int) -> None:
    members.sort(key=lambda own: own[0] * own[1])
    sides = torch.tensor(members, dtype=torch.int64).reshape(-1, 2)
    seen: list[int] = []
    for run, tall, wide in chunks(sides, limit):
        places = list(range(len(members)))[run]
        seen += places
        assert all(members[place][0] <= tall and members[place][1] <= wide for place in places)
        assert len(places) == 1 or tall * wide * len(places) <= limit
    left_out = [place for place in range(len(members)) if place not in seen]
    assert all(members[place][0] * members[place][1] == 0 for place in left_out)
    assert len(seen) == len(set(seen))
