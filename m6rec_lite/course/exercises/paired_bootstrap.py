"""Exercise ``paired_bootstrap``: a paired bootstrap."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Exercise, Wrong


def _two_models(n: int = 400, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Per-user values of two models that agree on which users are easy."""
    rng = np.random.default_rng(seed)
    easy = rng.random(n)
    return easy + rng.normal(0.05, 0.1, n), easy + rng.normal(0.0, 0.1, n)


_MESSAGES = {
    "apart": "The interval is as wide as if the two models had been judged on different users. "
    "Draw the users once and use the same draw for both models: that is what paired means.",
    "sign": "The sign is wrong: return a minus b, and a is better here.",
    "no return": "The interval has no width: the draw is without replacement, so it is the same "
    "users each time. Draw with replacement.",
    "users": "These are quantiles of the users' differences, not of their mean. The mean of a draw "
    "of users varies far less than a single user.",
    "90": "The width is that of a 90 % interval: a 95 % interval leaves 2.5 % on either side, not "
    "5 %.",
    "one": "This is an interval of model a alone, not of the difference a - b.",
}


def _check_each_user(answer: Callable[..., tuple[float, float]]) -> None:
    """Raise ``Wrong`` unless the first and the last of five users are drawn as often as others.

    One user has the difference 1, four have 0. A draw has that user three times or more in 5.8 %
    of all cases, and four times or more in 0.7 %: the 97.5 % quantile is 3/5.
    """
    for which, name in ((0, "first"), (-1, "last")):
        a = np.zeros(5)
        a[which] = 1.0
        low, high = answer(a, np.zeros(5), n_resamples=2000, seed=0)
        if not np.allclose((low, high), (0.0, 0.6)):
            raise Wrong(
                "Not every user is drawn with the same probability: draw from all indices, 0 to "
                "n - 1.",
                inputs=f"a - b is 1 for the {name} of five users, and 0 for the others",
                output=f"({low:.4f}, {high:.4f})",
                expected="(0.0000, 0.6000)",
            )


def _check_interval(answer: Callable[..., tuple[float, float]]) -> None:
    a, b = _two_models()
    inputs = f"a, b of {len(a)} users, means {a.mean():.3f} and {b.mean():.3f}, 2000 resamples"
    output = answer(a.copy(), b.copy(), n_resamples=2000, seed=0)
    try:
        low, high = (float(end) for end in output)
    except (TypeError, ValueError):
        raise Wrong("Return a pair (low, high).", inputs=inputs, output=output) from None
    mean, error = float((a - b).mean()), float((a - b).std() / np.sqrt(len(a)))
    apart = float(np.hypot(a.std(), b.std()) / np.sqrt(len(a)))
    expected = f"about ({mean - 1.96 * error:.4f}, {mean + 1.96 * error:.4f})"
    if low > high:
        raise Wrong(
            "The ends are exchanged: return (low, high).",
            inputs=inputs,
            output=f"({low:.4f}, {high:.4f})",
            expected=expected,
        )
    middle, width = (low + high) / 2, high - low

    def near(value: float, target: float) -> bool:
        return abs(value - target) < 0.1 * abs(target)

    if abs(middle - mean) < error and near(width, 3.92 * error):
        again = answer(a.copy(), b.copy(), n_resamples=2000, seed=0)
        if not np.allclose(output, again):
            raise Wrong("The same seed gave another interval: draw from default_rng(seed).")
        if np.array_equal(output, answer(a.copy(), b.copy(), n_resamples=2000, seed=1)):
            raise Wrong(
                "Another seed gave the same interval: nothing is drawn. A formula with 1.96 "
                "standard errors is no bootstrap; draw users with replacement."
            )
        _check_each_user(answer)
        return
    message = ""
    if abs(middle + mean) < error:
        message = _MESSAGES["sign"]
    elif width < 1e-9:
        message = _MESSAGES["no return"]
    elif abs(middle - a.mean()) < error:
        message = _MESSAGES["one"]
    elif near(width, 3.92 * apart):
        message = _MESSAGES["apart"]
    elif near(width, 3.29 * error):
        message = _MESSAGES["90"]
    elif near(width, 3.92 * error * np.sqrt(len(a))):
        message = _MESSAGES["users"]
    raise Wrong(message, inputs=inputs, output=f"({low:.4f}, {high:.4f})", expected=expected)


EXERCISE = Exercise(
    id="paired_bootstrap",
    title="A paired bootstrap",
    check=_check_interval,
    hints=(
        "Take the differences user by user first. What is left of the easy and hard users?",
        "rng.integers(0, n, size=(n_resamples, n)) draws all the users of all the draws at once.",
        "Mean along axis 1, then np.quantile(means, [0.025, 0.975]).",
    ),
    notice="The users that are easy for both models cancel in the difference. Two models whose own "
    "intervals overlap widely may differ beyond doubt.",
)
