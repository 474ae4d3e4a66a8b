"""Exercise ``reverse_ids``: hashed ids that were called anonymous."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def digest(text: str) -> str:
    """The SHA-256 of a text as hexadecimal digits, as the log was written."""
    return hashlib.sha256(text.encode()).hexdigest()


def _reverse(digests: Sequence[str], candidates: Sequence[int], salt: str) -> list[int | None]:
    """The right answer."""
    table = {digest(f"{salt}{candidate}"): candidate for candidate in candidates}
    return [table.get(each) for each in digests]


def _with(hash_of: Callable[[int, str], str]) -> Callable[..., list[int | None]]:
    """An answer that hashes in another way."""

    def answer(digests: Sequence[str], candidates: Sequence[int], salt: str) -> list[int | None]:
        table = {hash_of(candidate, salt): candidate for candidate in candidates}
        return [table.get(each) for each in digests]

    return answer


def _without_the_missing(
    digests: Sequence[str], candidates: Sequence[int], salt: str
) -> list[int | None]:
    return [each for each in _reverse(digests, candidates, salt) if each is not None]


def _in_order_of_candidates(
    digests: Sequence[str], candidates: Sequence[int], salt: str
) -> list[int | None]:
    return [c for c in candidates if digest(f"{salt}{c}") in digests]


def _indices(digests: Sequence[str], candidates: Sequence[int], salt: str) -> list[int | None]:
    table = {digest(f"{salt}{candidate}"): i for i, candidate in enumerate(candidates)}
    return [table.get(each) for each in digests]


def _minus_one(digests: Sequence[str], candidates: Sequence[int], salt: str) -> list[int | None]:
    return [-1 if each is None else each for each in _reverse(digests, candidates, salt)]


def _log(ids: Sequence[int], salt: str) -> list[str]:
    return [digest(f"{salt}{each}") for each in ids]


#: Digests of 13 and 14 by the two usual mistakes: the salt behind the id, and no salt.
OTHERS = digest("13shop-"), digest("14")

EXERCISE = Exercise(
    id="reverse_ids",
    title="Hashed ids that were called anonymous",
    cases=(
        Case(
            ([*_log([45, 12, 99], "shop-"), *OTHERS], list(range(10, 60)), "shop-"),
            [45, 12, None, None, None],
            note="99 is not among the candidates; the last two rows are of other shops",
        ),
        Case((_log([3, 3, 0], ""), [0, 1, 2, 3], ""), [3, 3, 0], note="no salt; one id twice"),
        Case((_log([7], "other"), [7, 8], "shop-"), [None], note="the log has another salt"),
        Case(([], [1, 2], "s"), [], note="an empty log"),
    ),
    known_wrong=(
        KnownWrong(
            _with(lambda candidate, salt: digest(f"{candidate}{salt}")),
            "The salt comes before the id in this log: another order is another hash.",
        ),
        KnownWrong(
            _with(lambda candidate, salt: digest(str(candidate))),
            "The salt is not used. It is public here, so it belongs into the table.",
        ),
        KnownWrong(
            _with(lambda candidate, salt: hashlib.md5(f"{salt}{candidate}".encode()).hexdigest()),
            "That is MD5. The log was written with SHA-256; the two never agree.",
        ),
        KnownWrong(
            _without_the_missing,
            "Hashes that are not found are left out, so the answer no longer lines up with the "
            "log. Return None for them.",
        ),
        KnownWrong(
            _in_order_of_candidates,
            "The ids come in the order of the candidates. Wanted is one entry for each digest, in "
            "the order of the log.",
        ),
        KnownWrong(
            _indices,
            "That is the index of the candidate in the list. Return the candidate itself.",
        ),
        KnownWrong(
            _minus_one,
            "-1 stands for what was not found. It could be an id; return None.",
        ),
    ),
    hints=(
        "You cannot invert a hash. Can you list every id that could have been hashed?",
        "A dict from digest(f'{salt}{candidate}') to the candidate is the table.",
        "table.get(each) for each digest returns None where there is no entry.",
    ),
    notice="A key that stays secret (HMAC) prevents the table, but whoever has the key can still "
    "reverse every id: that is a pseudonym, not anonymity.",
)
