"""One long title: shortened and counted, and no reason to stop."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.data import leave_one_out, load_dataset
from m6rec_lite.language import BehaviourText, Tokenizer, find_model
from m6rec_lite.language.text.document import shorten
from m6rec_lite.m6rec import PromptBuilder
from m6rec_lite.m6rec.tasks import Ranking
from m6rec_lite.recommenders import TitleLikelihood

ENGLISH = ("a long title that the seller has filled with every word that came to mind " * 4)[:246]
CHINESE = ("卖家把想到的每一个词都写进了这个非常长的商品标题里面希望大家能够搜索到它" * 4)[:98]


@pytest.fixture(scope="module")
def split_and_data():
    titles = [f"Boots number {n}" for n in range(8)] + [ENGLISH, CHINESE, CHINESE * 3]
    items = np.concatenate([np.random.default_rng(u).permutation(11) for u in range(12)])
    frame = pd.DataFrame({"user_id": np.arange(132) // 11, "item_id": items})
    frame["timestamp"], frame["title"] = 86_400 * np.arange(132), [titles[i] for i in items]
    data = load_dataset(frame)
    return leave_one_out(data), data


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load(find_model("bazaar-gpt"))


@settings(max_examples=50, deadline=None)
@given(text=st.text(max_size=80), room=st.integers(8, 40))
def test_shortened_texts_fit_and_begin_like_the_whole(tokenizer, text, room):
    short = shorten(text, tokenizer, room)
    assert len(tokenizer.encode(short)) <= room
    if short != text:
        assert len(tokenizer.encode(text)) > room
        assert text.startswith(short.removesuffix("…"))


def test_title_likelihood_ranks_beside_long_titles(split_and_data, caplog):
    split, data = split_and_data
    model = TitleLikelihood(candidates=3, weight=1.0, device="cpu")
    model.fit(split.train, items=data.items, progress=False)
    histories = split.test.histories[:4]
    assert np.isfinite(model.score(histories)).all()
    texts = model._next.text.documents(
        histories, tokenizer=model._next.tokenizer, max_tokens=model._next.room
    )
    assert model._next.n_truncated + sum(text.truncated for text in texts) > 0
    assert max(len(prompt) for prompt in model._next.prompts(histories)) <= model._next.gpt.context


@pytest.mark.parametrize("max_tokens", [64, 96, 128])
def test_zero_shot_ranking_shortens_and_counts(split_and_data, tokenizer, max_tokens, caplog):
    split, data = split_and_data
    task = Ranking()
    prompts = PromptBuilder(BehaviourText(data), tokenizer, max_tokens)
    histories = split.test.histories[:6]
    examples = task.encode(histories, [split.item_ids] * 6, prompts)
    assert task.n_truncated >= 1
    assert f"{task.n_truncated} of 11 candidates" in caplog.text
    pairs = zip(examples.known, examples.written, strict=True)
    assert max(len(known) + len(written) for known, written in pairs) <= max_tokens
    task.encode(histories[:1], [split.item_ids[:3]], prompts)
    assert task.n_truncated == 0
