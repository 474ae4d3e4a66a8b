"""Files of target ranks: the round trip, and damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from m6rec_lite.data import DataError
from m6rec_lite.evaluation import evaluate
from m6rec_lite.evaluation.rank_files import read_ranks, write_ranks
from m6rec_lite.recommenders import Popularity
from tests.worlds import small_split


def test_ranks_come_back(tmp_path: Path) -> None:
    split = small_split()
    report = evaluate(Popularity().fit(split.train, progress=False), split, progress=False)
    write_ranks(tmp_path / "ranks.npz", report)
    users, ranks = read_ranks(tmp_path / "ranks.npz")
    assert report.ranks is not None
    assert users.tolist() == sorted(np.asarray(report.user_ids).tolist())
    assert sorted(ranks.above + ranks.tied) == sorted(report.ranks.above + report.ranks.tied)
    assert ranks.n_items == report.ranks.n_items


@pytest.mark.parametrize("at", [0, 60, 0.3, 0.6, -30])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, at: float) -> None:
    split = small_split()
    path = tmp_path / "ranks.npz"
    report = evaluate(Popularity().fit(split.train, progress=False), split, progress=False)
    write_ranks(path, report)
    content = bytearray(path.read_bytes())
    place = int(at * len(content)) if isinstance(at, float) else int(at)
    content[place : place + 8] = bytes(8)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"ranks\.npz is damaged.*write_ranks"):
        read_ranks(path)


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_ranks(tmp_path / "ranks.npz")
