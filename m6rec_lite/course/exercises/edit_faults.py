"""Exercise ``edit_faults``: rotated, scaled and leaking histories."""

from __future__ import annotations

from collections.abc import Callable

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _order(original: list[int], edited: list[int]) -> bool:
    places = [original.index(item) for item in edited if item in original]
    return places != sorted(places)


def _rule(
    *,
    order: Callable[[list[int], list[int]], bool] = _order,
    skip: str = "",
    foreign: Callable[[list[int], list[int], int], bool] = (
        lambda original, edited, target: bool(set(edited) - set(original) - {target})
    ),
    leak: Callable[[list[int], int], bool] = lambda edited, target: target in edited,
) -> Callable[[list[int], list[int], int], set[str]]:
    """The rule; with other arguments, a wrong one."""

    def faults(original: list[int], edited: list[int], target: int) -> set[str]:
        found = {
            "empty": not edited,
            "foreign": foreign(original, edited, target),
            "leak": leak(edited, target),
            "repeated": len(set(edited)) < len(edited),
            "order": order(original, edited),
        }
        return {name for name, is_there in found.items() if is_there and name != skip}

    return faults


_edit_faults = _rule()


def _not_a_part(original: list[int], edited: list[int]) -> bool:
    """Whether the edited events are not consecutive ones of the original."""
    n = len(edited)
    return edited not in [original[i : i + n] for i in range(len(original) - n + 1)]


def _cases() -> tuple[Case, ...]:
    history, target = [31, 12, 53, 14, 25], 16
    rows: tuple[tuple[list[int], str], ...] = (
        ([12, 53, 14], "cropped"),
        ([31, 53, 25], "masked"),
        ([25, 31, 12, 53, 14], "rotated"),
        ([62, 24, 106, 28, 50], "scaled by 2"),
        ([], "nothing left"),
        ([53, 14, 25, 16], "cropped after the split was forgotten"),
        ([31, 12, 12, 53], "an event doubled"),
        ([31, 12, 14, 53, 25], "two events exchanged"),
        ([14, 99, 12], "another item among them, and the order changed"),
        ([16, 31], "the target first"),
        (history, "unchanged"),
        ([31], "one event"),
        ([53, 53, 12, 16, 70], "all but empty"),
    )
    return tuple(
        Case((history, edited, target), _edit_faults(history, edited, target), note=note)
        for edited, note in rows
    )


EXERCISE = Exercise(
    id="edit_faults",
    title="Rotated, scaled and leaking histories",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _rule(skip="order"),
            "A rotated history passes. It has the same items, but an old event stands last, and "
            "what follows it never did.",
        ),
        KnownWrong(
            _rule(skip="foreign"),
            "A scaled history passes. An id is a name: twice the id is another item, or none.",
        ),
        KnownWrong(
            _rule(skip="leak"),
            "The target in a training history is a leak, and the worst of these faults.",
        ),
        KnownWrong(
            _rule(skip="repeated"),
            "A doubled event passes. Neither crop nor mask can double one.",
        ),
        KnownWrong(
            _rule(skip="empty"),
            "An empty history teaches nothing: report it.",
        ),
        KnownWrong(
            _rule(foreign=lambda original, edited, target: bool(set(edited) - set(original))),
            "The target is reported as a foreign item too. It has a fault of its own: leak.",
        ),
        KnownWrong(
            _rule(leak=lambda edited, target: bool(edited) and edited[-1] == target),
            "The target leaks at any position, not only as the last event.",
        ),
        KnownWrong(
            _rule(order=_not_a_part),
            "Only consecutive events pass there: a masked history would be refused. The order is "
            "kept if the positions in the original ascend.",
        ),
        KnownWrong(
            _rule(order=lambda original, edited: edited != sorted(edited)),
            "The ids are sorted there, which says nothing about time. Compare positions in the "
            "original.",
        ),
    ),
    hints=(
        "Five tests, each adds its name to a set.",
        'set(edited) - set(original) - {target} holds the foreign items; target in edited: "leak".',
        "Positions: [original.index(i) for i in edited if i in original]; are they sorted?",
    ),
    notice="Rotation and scaling come from pictures, where they keep what a picture shows. Which "
    "edits keep the meaning is a property of the data, not of augmentation.",
)
