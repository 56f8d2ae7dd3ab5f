"""Work on boxes of many sizes at once, without one huge box making all others as large."""

from torch import Tensor


def chunks(sides: Tensor, limit: int) -> list[tuple[slice, int, int]]:
    """Cut (N, 2) sides, ordered by area, into runs that are worked on at their largest sides.

    Returns:
        For each run its place, and its largest first and second side; their product times the
        number in the run is at most `limit`, unless a run has one member only. Members without
        area are left out where they stand first.
    """
    found: list[tuple[slice, int, int]] = []
    begin, tall, wide = 0, 0, 0
    for place, (own_tall, own_wide) in enumerate(sides.tolist()):
        taller, wider = max(tall, own_tall), max(wide, own_wide)
        if place > begin and taller * wider * (place + 1 - begin) > limit:
            found.append((slice(begin, place), tall, wide))
            begin, taller, wider = place, own_tall, own_wide
        tall, wide = taller, wider
    if tall * wide > 0:
        found.append((slice(begin, len(sides)), tall, wide))
    return found
