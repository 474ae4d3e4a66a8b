"""Rows of different lengths end to end: indices into them, against a loop."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from m6rec_lite.data.ragged import offsets_of, positions_in_rows, ranges

ROWS = st.lists(st.tuples(st.integers(-5, 50), st.integers(0, 6)), max_size=8)


@given(ROWS)
def test_ranges_offsets_and_positions(rows):
    starts = np.array([start for start, _ in rows], dtype=np.int64)
    lengths = np.array([length for _, length in rows], dtype=np.int64)
    wanted = [start + i for start, length in rows for i in range(length)]
    assert ranges(starts, lengths).tolist() == wanted
    assert positions_in_rows(lengths).tolist() == [i for _, n in rows for i in range(n)]
    offsets = offsets_of(lengths)
    assert offsets.dtype == np.int64
    assert offsets.tolist() == [sum(lengths[:i]) for i in range(len(rows) + 1)]
