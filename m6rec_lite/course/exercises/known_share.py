"""Exercise ``known_share``: whitespace tokens on Chinese."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise

Tokenizer = Callable[[str], list[str]]

_SUBJECTS = [
    "登山靴",
    "帐篷",
    "睡袋",
    "茶壶",
    "台灯",
    "小号",
    "望远镜",
    "自行车",
    "面包机",
    "棋盘",
    "雨衣",
    "课程",
]
_OPENINGS = ["说实话", "用了一周", "朋友推荐的", "第二次购买"]
_VERDICTS = [
    "很满意",
    "不太满意",
    "超出预期",
    "没有想象中好",
    "值得推荐",
    "有点失望",
    "非常好用",
    "一般般",
    "物有所值",
    "不会再买",
    "越用越喜欢",
    "还算可以",
]
_REASONS = [
    "做工扎实",
    "价格偏高",
    "颜色好看",
    "重量太大",
    "包装完整",
    "说明书难懂",
    "声音清楚",
    "容易损坏",
    "安装简单",
    "尺寸不合",
    "送货很快",
    "保养麻烦",
]


def _reviews(n: int, seed: int) -> list[str]:
    """Return short Chinese reviews, each of four parts drawn at random."""
    rng = np.random.default_rng(seed)
    drawn = [rng.choice(part, n) for part in (_OPENINGS, _SUBJECTS, _VERDICTS, _REASONS)]
    return [f"{a}，这个{b}{c}，{d}。" for a, b, c, d in zip(*drawn, strict=True)]


_TRAIN, _TEST = _reviews(250, seed=0), _reviews(200, seed=1)


def _vocabulary(texts: list[str], tokenize: Tokenizer) -> set[str]:
    return {token for text in texts for token in tokenize(text)}


def _known(train: list[str], test: list[str], tokenize: Tokenizer) -> list[list[bool]]:
    """For each text of test, whether each token occurs in train."""
    vocabulary = _vocabulary(train, tokenize)
    return [[token in vocabulary for token in tokenize(text)] for text in test]


def _share(train: list[str], test: list[str], tokenize: Tokenizer) -> float:
    """The right answer."""
    return sum(map(any, _known(train, test, tokenize))) / len(test)


def _of_tokens(train: list[str], test: list[str], tokenize: Tokenizer) -> float:
    tokens = [token for text in _known(train, test, tokenize) for token in text]
    return sum(tokens) / max(len(tokens), 1)


def _in_text(train: list[str], test: list[str], tokenize: Tokenizer) -> float:
    text = " ".join(train)
    return sum(any(token in text for token in tokenize(each)) for each in test) / len(test)


def _letters(train: list[str], test: list[str], tokenize: Tokenizer) -> float:
    vocabulary = _vocabulary(train, tokenize)
    return sum(any(letter in vocabulary for letter in text) for text in test) / len(test)


_SHOP = ["good boots", "a good tent", "warm"]

EXERCISE = OpenExercise(
    id="known_share",
    title="Whitespace tokens on Chinese",
    data={"train": _TRAIN, "test": _TEST},
    cases=(
        Case(args=(_SHOP, ["good lamp", "boot", "a a"], str.split), expected=2 / 3),
        Case(args=(_SHOP, ["blue", "red lamp"], str.split), expected=0.0, note="no token is known"),
        Case(args=(_SHOP, ["", "warm", "warm lamp"], str.split), expected=2 / 3, note="a text ''"),
        Case(args=(["这双靴子很好。"], ["靴子不好", "面包"], list), expected=1 / 2),
        Case(
            args=(["这双靴子很好。"], ["靴子不好", "面包"], str.split),
            expected=0.0,
            note="no spaces: each text is one token",
        ),
    ),
    known_wrong=(
        KnownWrong(
            _of_tokens,
            "That is the share of *tokens* that are known. Count texts: a text counts once if any "
            "of its tokens is known.",
        ),
        KnownWrong(
            lambda train, test, tokenize: sum(map(all, _known(train, test, tokenize))) / len(test),
            "That counts the texts of which *every* token is known. One is enough: any, not all.",
        ),
        KnownWrong(
            lambda train, test, tokenize: 1 - _share(train, test, tokenize),
            "That is the share of texts *without* a known token, the complement.",
        ),
        KnownWrong(
            lambda train, test, tokenize: _share([*train, *test], test, tokenize),
            "The vocabulary has the test texts' own tokens: a leak. Build it from train alone.",
        ),
        KnownWrong(
            _letters,
            "The test texts are read letter by letter. Tokenize them as the training texts are.",
        ),
        KnownWrong(
            _in_text,
            "A token is looked up inside the training *text*, so 'boot' is found in 'boots'. Look "
            "it up in the set of tokens.",
        ),
        KnownWrong(
            lambda train, test, tokenize: sum(map(any, _known(train, test, tokenize))),
            "That is the number of texts. Divide by how many there are.",
        ),
        KnownWrong(
            lambda train, test, tokenize: float(
                np.mean([np.mean(known or [False]) for known in _known(train, test, tokenize)])
            ),
            "That averages each text's share of known tokens. Count a text fully if any is known.",
        ),
    ),
    hints=(
        "Which tokens may a model know? Those of the training texts only.",
        "{token for text in train for token in tokenize(text)} is the vocabulary.",
        "any(token in vocabulary for token in tokenize(text)) for each text of test.",
    ),
    notice="A text without spaces is a single whitespace token, so it is known only if the whole "
    "text stood in train. With characters every test text has a known token.",
    measured=lambda answer: float(answer(_TRAIN, _TEST, str.split)),
    example=0.5,
)
