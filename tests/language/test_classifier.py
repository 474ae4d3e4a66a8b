"""Classification by one n-gram model for each class."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB

from m6rec_lite.data import NotFittedError
from m6rec_lite.language import AddK, NGramClassifier

SAID = ["it will rise", "it will not rise", "it will fall", "it will not fall"] * 5
MOOD = ["up", "down", "down", "up"] * 5


def split(texts):
    return [text.split() for text in texts]


def test_order_one_with_added_counts_is_naive_bayes():
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abcdef"), size=rng.integers(1, 7))) for _ in range(60)]
    labels = rng.choice(["x", "y", "z"], size=60).tolist()
    ours = NGramClassifier(1).fit(split(texts[:40]), labels[:40])
    counts = CountVectorizer(
        analyzer=lambda text: [*text.split(), "</s>"], vocabulary=[*"abcdef", "</s>", "<unk>"]
    )
    bayes = MultinomialNB().fit(counts.transform(texts[:40]), labels[:40])
    theirs = bayes.predict_log_proba(counts.transform(texts[40:]))
    assert np.allclose(ours.log_probs(split(texts[40:])), theirs)


def test_single_words_cannot_tell_what_pairs_can():
    asked = split(SAID[:4])
    one = NGramClassifier(1).fit(split(SAID), MOOD).log_probs(asked)
    assert np.allclose(one, np.log(0.5))
    assert NGramClassifier(2).fit(split(SAID), MOOD).predict(asked).tolist() == MOOD[:4]


def test_probabilities_sum_to_one_and_unknown_words_are_no_error():
    model = NGramClassifier(3, AddK(0.5)).fit(split(SAID), MOOD)
    asked = [*split(["it may rise", "never heard words"]), []]
    assert np.allclose(np.exp(model.log_probs(asked)).sum(axis=1), 1)
    assert model.log_probs([]).shape == (0, 2)


def test_bad_input_is_refused():
    with pytest.raises(NotFittedError):
        NGramClassifier().predict([["a"]])
    with pytest.raises(ValueError, match="one label for each sentence"):
        NGramClassifier().fit([["a"]], [])
    with pytest.raises(TypeError, match="split it"):
        NGramClassifier().fit(["a text"], ["x"])
