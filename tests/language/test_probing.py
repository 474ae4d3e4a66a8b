"""States as features, and what simple probes read off them."""

import numpy as np
import pytest
import torch

from m6rec_lite.language.models.gpt import GPT, GPTConfig
from m6rec_lite.language.models.probing import (
    attention_probe,
    linear_probe,
    token_states,
    typical_words,
)
from m6rec_lite.language.text.document import Document, encode_document
from m6rec_lite.language.text.tokenizer import Tokenizer


def test_token_states_are_those_of_each_document_alone():
    tokenizer = Tokenizer.train(["a boot and a tent", "a jazz record"], 300)
    shape = GPTConfig(tokenizer.vocab_size, 32, 16, 2, 2, tokenizer=tokenizer.fingerprint)
    model = GPT(shape).eval()
    texts = ["a boot", "", "a jazz record and a tent", "a tent"]
    documents = [Document((("[EVENT]", text),)) for text in texts]
    states, mask = token_states(model, tokenizer, documents, rows=3)
    for row, document in enumerate(documents):
        ids = torch.tensor(encode_document(tokenizer, document.wrapped(end=None)))
        n = int(mask[row].sum())
        assert n == len(ids)
        assert not mask[row, n:].any()
        with torch.no_grad():
            torch.testing.assert_close(states[row, :n], model(ids[None])[0])
        assert (states[row, n:] == 0).all()
    other = Tokenizer.train(["something else entirely"], 280)
    with pytest.raises(ValueError, match="trained with the tokenizer"):
        token_states(model, other, documents)


def planted(n=600, kinds=3, noise=0.3, seed=0):
    """Features in which one direction a label is planted, and labels of pure chance."""
    draw = np.random.default_rng(seed)
    y = draw.integers(kinds, size=n)
    x = 5 + np.eye(kinds)[y] @ draw.normal(size=(kinds, 12)) + noise * draw.normal(size=(n, 12))
    chance = draw.integers(kinds, size=n)
    return torch.tensor(x).float(), torch.tensor(y), torch.tensor(chance)


def test_a_linear_probe_reads_what_is_planted_and_nothing_else():
    x, y, chance = planted()
    right, lucky = linear_probe(x, [y, chance], 400)
    assert right.shape == lucky.shape == (200,)
    assert right.mean() > 0.95
    assert lucky.mean() < 0.5
    (again,) = linear_probe(1000 * x + 7, [y], 400)  # scale and origin do not matter
    np.testing.assert_array_equal(again, right)


def test_a_linear_probe_is_ridge_regression():
    from sklearn.linear_model import Ridge

    x, y, _ = planted(noise=2.0)
    (right,) = linear_probe(x, [y], 400, strengths=(0.3,))
    known = x[:400].double().numpy()
    scale = (known - known.mean(axis=0)).std(ddof=1)
    features = (x.double().numpy() - known.mean(axis=0)) / scale
    ones = np.column_stack([features, np.ones(len(features))])
    model = Ridge(alpha=0.3 * 400, fit_intercept=False).fit(ones[:400], np.eye(3)[y[:400]])
    wanted = model.predict(ones[400:]).argmax(axis=1) == y[400:].numpy()
    np.testing.assert_array_equal(right, wanted.astype(float))


def test_attention_finds_the_one_state_that_tells():
    """One state in eight carries the label and a flag; the mean drowns it, attention finds it."""
    draw = torch.Generator().manual_seed(0)
    n, time, d = 600, 8, 12
    y = torch.randint(2, (n,), generator=draw)
    states = torch.randn(n, time, d, generator=draw)
    position = torch.randint(time - 2, (n,), generator=draw)
    states[torch.arange(n), position, 0] = 6.0  # the flag
    states[torch.arange(n), position, 1] = 3.0 * (2 * y - 1)
    mask = torch.ones(n, time, dtype=torch.bool)
    mask[:, -1] = False
    states[:, -1] = 1e4  # padding that must not be seen
    attended = attention_probe(states, mask, y, 400, steps=200, lr=2e-2).mean()
    (mean,) = linear_probe(states[:, :-1].mean(dim=1), [y], 400)
    assert attended > 0.93
    assert attended > mean.mean() + 0.05
    same = attention_probe(states, mask, y, 400, steps=20)
    np.testing.assert_array_equal(same, attention_probe(states, mask, y, 400, steps=20))


def test_typical_words_are_frequent_inside_and_rare_outside():
    has = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1], [1, 0, 1], [1, 0, 0]], dtype=bool)
    result = typical_words(has, ["the", "boot", "jazz"], np.array([4, 4, 7, 7, 7]), n=1)
    assert result == {4: ["boot"], 7: ["jazz"]}
    assert typical_words(has, ["the", "boot", "jazz"], np.zeros(5, dtype=int), n=1) == {0: ["the"]}


@pytest.mark.parametrize("cut", [0, 600, 900])
def test_probes_need_training_and_test_rows(cut):
    x, y, _ = planted()
    with pytest.raises(ValueError, match="training and test rows"):
        linear_probe(x, [y], cut)
    with pytest.raises(ValueError, match="training and test rows"):
        attention_probe(x[:, None], torch.ones(600, 1, dtype=torch.bool), y, cut)
