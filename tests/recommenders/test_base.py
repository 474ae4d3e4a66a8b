"""Ranking, storage and the words of errors, apart from any model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from m6rec_lite.data import DataError, Histories, Interactions
from m6rec_lite.recommenders import Bigram, ItemKNN, Recommender, top_k
from m6rec_lite.recommenders.base import recency_weights

ROWS = pd.DataFrame(
    {"user_id": [1, 1, 1, 2, 2, 2], "item_id": [3, 5, 9, 3, 5, 4], "timestamp": [1, 2, 3, 1, 2, 3]}
)
TRAIN = Interactions.from_frame(ROWS)


class Fixed(Recommender):
    """Gives the same scores to everybody."""

    def __init__(self, values: tuple[float, ...] = (0.5, -np.inf, 2.0, 1.0)) -> None:
        self.values = tuple(values)

    def _fit(self, train: Interactions, **extras: Any) -> None:
        self.values_ = np.array(self.values)

    def _score(self, histories: Histories) -> np.ndarray:
        return np.tile(self.values_, (len(histories), 1))


@settings(max_examples=150, deadline=None)
@given(
    hnp.arrays(
        np.float64,
        st.tuples(st.integers(0, 4), st.integers(1, 12)),
        elements=st.sampled_from([-np.inf, -1.5, 0.0, 0.25, 0.25 + 1e-12, 3.0, np.inf]),
    ),
    st.integers(1, 15),
)
def test_top_k_equals_a_stable_sort(scores: np.ndarray, k: int) -> None:
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(top_k(scores, k), expected)


def test_recency_weights_fall_from_the_latest() -> None:
    queries = Histories.from_lists([[3, 5, 9], [], [4]], TRAIN.item_ids)
    np.testing.assert_allclose(recency_weights(queries, 0.5), [0.25, 0.5, 1.0, 1.0])
    assert recency_weights(queries, 1.0) is None


def test_minus_infinity_is_never_recommended() -> None:
    model = Fixed().fit(TRAIN)  # the items are 3 4 5 9; 4 scores -inf
    table = model.recommend(Histories.from_lists([[5], [3, 5, 9]], TRAIN.item_ids), k=4)
    assert table["item_id"].tolist() == [9, 3]
    assert table["user_id"].tolist() == [0, 0]
    assert table["score"].tolist() == [1.0, 0.5]


def test_scores_that_are_not_numbers_raise() -> None:
    model = Fixed((0.5, np.nan, 2.0, 1.0)).fit(TRAIN)
    with pytest.raises(FloatingPointError, match="NaN"):
        model.recommend(Histories.from_lists([[5]], TRAIN.item_ids))


def test_equal_scores_fall_back_to_popularity() -> None:
    model = Fixed((1.0, 1.0, 1.0, 1.0)).fit(TRAIN)
    scores = model.score(Histories.from_lists([[5], []], TRAIN.item_ids))
    np.testing.assert_array_equal(scores, [[2, 1, 2, 1]] * 2)


def test_popularity_counts_users_not_rows() -> None:
    train = Interactions.from_frame(pd.concat([ROWS, ROWS[ROWS["item_id"] == 4]]))
    np.testing.assert_array_equal(Fixed().fit(train).popularity_, [2, 1, 2, 1])


def test_a_failed_fit_does_not_pass_for_a_fitted_model() -> None:
    class Fails(Fixed):
        def _fit(self, train: Interactions, **extras: Any) -> None:
            raise DataError("no")

    model = Fails()
    model.item_ids = TRAIN.item_ids  # as if fitted before
    with pytest.raises(DataError):
        model.fit(TRAIN)
    assert not model.is_fitted


# Storage.


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return ItemKNN(k=2, shrink=0.5, decay=0.9).fit(TRAIN).save(tmp_path / "model")


@pytest.fixture
def unsealed(saved: Path) -> Path:
    """As a model without checksums, whose contents must be judged by themselves."""
    (saved / "SHA256SUMS").unlink()
    return saved


def test_config_is_readable(saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    assert config["class"] == "ItemKNN"
    assert config["settings"] == {"k": 2, "shrink": 0.5, "decay": 0.9}


def test_arrays_hold_no_pickle(saved: Path) -> None:
    with np.load(saved / "arrays.npz", allow_pickle=False) as arrays:
        assert {arrays[key].dtype.kind for key in arrays.files} <= set("fiuU")


@pytest.mark.parametrize("file", ["config.json", "arrays.npz"])
def test_missing_file(saved: Path, file: str) -> None:
    (saved / file).unlink()
    with pytest.raises(DataError, match=f"{file} is missing"):
        Recommender.load(saved)


@pytest.mark.parametrize("file", ["config.json", "arrays.npz"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_cut_file(saved: Path, file: str, share: float) -> None:
    whole = (saved / file).read_bytes()
    (saved / file).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=rf"{file} is damaged"):
        ItemKNN.load(saved)


def test_flipped_bytes_are_noticed(saved: Path) -> None:
    whole = bytearray((saved / "arrays.npz").read_bytes())
    position = whole.find(b"NUMPY") + 140  # within the first array's numbers
    whole[position : position + 8] = bytes(255 - byte for byte in whole[position : position + 8])
    (saved / "arrays.npz").write_bytes(bytes(whole))
    with pytest.raises(DataError, match="damaged"):
        ItemKNN.load(saved)


def test_files_of_two_models(unsealed: Path, tmp_path: Path) -> None:
    other = Bigram().fit(TRAIN).save(tmp_path / "other")
    shutil.copy(other / "arrays.npz", unsealed / "arrays.npz")
    with pytest.raises(DataError, match="different models"):
        ItemKNN.load(unsealed)


def test_settings_that_do_not_fit(unsealed: Path) -> None:
    config = json.loads((unsealed / "config.json").read_text())
    for settings_ in ({"k": 2, "colour": "red"}, {"k": 0}):
        (unsealed / "config.json").write_text(json.dumps(config | {"settings": settings_}))
        with pytest.raises(DataError, match="does not fit ItemKNN"):
            ItemKNN.load(unsealed)


@pytest.mark.parametrize("text", ["[]", "{}", '{"format": "another"}'])
def test_config_of_another_format(unsealed: Path, text: str) -> None:
    (unsealed / "config.json").write_text(text)
    with pytest.raises(DataError, match="not of the format"):
        ItemKNN.load(unsealed)


def test_unknown_class(unsealed: Path) -> None:
    config = json.loads((unsealed / "config.json").read_text())
    (unsealed / "config.json").write_text(json.dumps(config | {"class": "Oracle9"}))
    with pytest.raises(DataError, match="holds a Oracle9"):
        Recommender.load(unsealed)


def test_nothing_at_the_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no saved model"):
        ItemKNN.load(tmp_path / "nothing")


def test_other_folders_and_files_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    (tmp_path / "file").write_text("x")
    model = Bigram().fit(TRAIN)
    for name in ("thesis", "file"):
        with pytest.raises(FileExistsError, match="not a saved model"):
            model.save(tmp_path / name)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_a_failed_save_leaves_the_old_model(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {file.name: file.read_bytes() for file in saved.iterdir()}

    def full_disk(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("m6rec_lite.recommenders.storage.np.savez", full_disk)
    with pytest.raises(OSError, match="No space left"):
        ItemKNN(k=1).fit(TRAIN).save(saved)
    assert {file.name: file.read_bytes() for file in saved.iterdir()} == before
    assert [file.name for file in saved.parent.iterdir()] == ["model"]
