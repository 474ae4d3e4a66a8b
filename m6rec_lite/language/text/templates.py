"""Sentence templates for items, events, users and times, read from JSON.

All sentences are in ``templates.json``, grouped by name. To change them, edit a copy of it and load
it by its path.
"""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any, Self

import numpy as np

from m6rec_lite.data import EVENTS

#: Fields that each template may use, by group and key; "*" is every other key of a group.
_SLOTS: dict[str, dict[str, set[str]]] = {
    "nouns": {"*": {"value"}},
    "item": {
        "domain": {"noun"},
        "category": {"category"},
        "title": {"title"},
        "creator": {"creator"},
        "price": {"price"},
        "tags": {"tags"},
        "description": {"description"},
    },
    "events": {
        **{event: {"item"} for event in EVENTS},
        "rate with value": {"item", "value"},
        "search": {"query"},
    },
}
_PLAIN: dict[str, set[str]] = {
    "untitled": set(),
    "nothing": set(),
    "month": {"month"},
    "weekday": {"weekday"},
    "weather": {"condition", "temperature"},
}


@dataclass(frozen=True)
class Templates:
    """A set of sentence templates; ``templates.json`` has examples.

    Attributes:
        name: name of the set.
        nouns: domain to noun; ``"*"`` is any other domain, ``""`` a missing one.
        item: part of an item to phrase; an item's phrases are joined in this order.
        untitled: replaces the title's phrase if there is no title.
        parts: default parts of an item in the text of an event.
        nothing: text of an item without any known part.
        events: name of an event to sentence; ``search`` and ``rate with value`` besides.
        user: column of the users' table to phrases by value, as ``nouns``; None is left out.
        month, months, weekday, weekdays, weather: the query time.
        ago, later: time until the query, and since the previous event: steps that start at
            ``from`` seconds, counted in ``unit`` seconds, with phrases for ``one`` and ``many``.
        order: as ``ago`` for data without timestamps, counted in events.
        statistics: popularity of an item, by the ``share`` of items with at least as many users.
    """

    name: str
    nouns: dict[str, str]
    item: dict[str, str]
    parts: list[str]
    untitled: str
    nothing: str
    events: dict[str, str]
    user: dict[str, dict[str, str | None]]
    month: str
    months: list[str]
    weekday: str
    weekdays: list[str]
    weather: str
    ago: list[dict[str, Any]]
    later: list[dict[str, Any]]
    order: list[dict[str, Any]]
    statistics: dict[str, Any]

    def __post_init__(self) -> None:
        self._check()

    @classmethod
    def load(cls, name: str | Path = "default") -> Self:
        """Load templates by name from ``templates.json``, or from a JSON file.

        A file contains one object like those in ``templates.json``; with ``extends`` it contains
        only the differences from the set of that name.

        Raises:
            ValueError: if there is no such name, or a template is missing or uses a wrong field.
            FileNotFoundError: if there is no such file.
        """
        text = resources.files(__package__).joinpath("templates.json").read_text(encoding="utf-8")
        known: dict[str, dict[str, Any]] = json.loads(text)
        if isinstance(name, Path) or str(name).endswith(".json"):
            path = Path(name)
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
            except json.JSONDecodeError as error:
                raise ValueError(f"{path} is not JSON: {error}") from error
            return cls.from_dict(path.stem, content, known)
        if name not in known:
            raise ValueError(
                f"no templates are called {name!r}; there are {', '.join(known)}, or give the path "
                "of a .json file"
            )
        return cls.from_dict(str(name), known[str(name)], known)

    @classmethod
    def from_dict(
        cls, name: str, content: Mapping[str, Any], known: Mapping[str, Any] | None = None
    ) -> Self:
        """Create templates from a JSON object, which may extend one of ``known``."""
        known = known or {}
        if not isinstance(content, Mapping):
            raise ValueError(f"templates {name!r} must be one JSON object, got {content!r:.60}")
        if (base := content.get("extends")) is not None:
            if base not in known:
                raise ValueError(f"templates {name!r} extend {base!r}; there are {list(known)}")
            content = {**known[base], **content}
        wanted = {field.name for field in fields(cls)} - {"name"}
        missing, unknown = wanted - content.keys(), content.keys() - wanted - {"about", "extends"}
        if missing or unknown:
            raise ValueError(
                f"templates {name!r}: missing {sorted(missing)}, unknown {sorted(unknown)}; they "
                f"need {sorted(wanted)}"
            )
        try:
            return cls(name=name, **{key: content[key] for key in wanted})
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(
                f"templates {name!r} are not built like those in templates.json: {error!r}"
            ) from error

    # Text

    def noun(self, domain: str | None) -> str:
        """Return the noun for an item of a domain."""
        return _by_value(self.nouns, domain) or self.nouns[""]

    def person(self, values: Mapping[str, str | None]) -> str:
        """Return a sentence about a user: one phrase per column, in the given order."""
        phrases = [_by_value(self.user[key], value) for key, value in values.items()]
        return _sentence(", ".join(phrase for phrase in phrases if phrase))

    def moment(self, timestamp: int, parts: tuple[str, ...] = ("weekday", "month")) -> str:
        """Return sentences with the weekday and month (UTC) of a timestamp in unix seconds."""
        day = np.datetime64(int(timestamp), "s").astype("datetime64[D]")
        month = int(day.astype("datetime64[M]").astype(np.int64)) % 12
        weekday = int(day.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
        words = {
            "weekday": self.weekday.format(weekday=self.weekdays[weekday]),
            "month": self.month.format(month=self.months[month]),
        }
        return " ".join(words[part] for part in parts)

    def sky(self, condition: str, temperature: float) -> str:
        """Return a sentence about the weather; the temperature in degrees Celsius is rounded."""
        words = self.weather.format(condition=condition, temperature=round(temperature))
        return words[:1].upper() + words[1:]

    def elapsed(self, seconds: np.ndarray, ladder: str = "ago") -> np.ndarray:
        """Return time spans as text.

        Args:
            seconds: ``(n,)`` integers of at least 0; number of later events for ``"order"``.
            ladder: ``"ago"``, ``"later"`` or ``"order"``.

        Returns:
            ``(n,)`` object array of phrases such as "23 minutes ago", rounded down to whole units.
        """
        steps = {"ago": self.ago, "later": self.later, "order": self.order}[ladder]
        seconds = np.asarray(seconds, dtype=np.int64)
        start = np.array([step["from"] for step in steps], dtype=np.int64)
        unit = np.array([step["unit"] for step in steps], dtype=np.int64)
        step = np.searchsorted(start, seconds, side="right") - 1
        number = seconds // unit[step]
        pairs, inverse = np.unique(np.stack([step, number]), axis=1, return_inverse=True)
        phrases = [
            steps[s]["one"] if n == 1 else steps[s]["many"].format(n=n) for s, n in pairs.T.tolist()
        ]
        return np.array(phrases, dtype=object)[inverse.reshape(-1)]

    # Checks

    def _check(self) -> None:
        """Raise ``ValueError`` if a template is missing or uses an unknown field."""
        for group, slots in _SLOTS.items():
            texts = getattr(self, group)
            if missing := slots.keys() - texts.keys():
                raise ValueError(f"templates {self.name!r}: {group} lacks {sorted(missing)}")
            for key, text in texts.items():
                self._check_text(f"{group}.{key}", text, slots.get(key, set()))
        if unknown := set(self.parts) - set(_SLOTS["item"]):
            raise ValueError(f"templates {self.name!r}: parts has {sorted(unknown)}")
        if "" not in self.nouns:
            raise ValueError(f"templates {self.name!r}: nouns lacks '', for items of no domain")
        for key, allowed in _PLAIN.items():
            self._check_text(key, getattr(self, key), allowed)
        for column, phrases in self.user.items():
            for value, text in phrases.items():
                if text is not None:
                    self._check_text(f"user.{column}.{value}", text, {"value"})
        for key, n in (("months", 12), ("weekdays", 7)):
            if len(getattr(self, key)) != n:
                raise ValueError(f"templates {self.name!r}: {key} must be {n} names")
        for key in ("ago", "later", "order"):
            steps = getattr(self, key)
            start = [step["from"] for step in steps]
            if start[:1] != [0] or start != sorted(set(start)):
                raise ValueError(f"templates {self.name!r}: {key} must rise from 0, got {start}")
            for step in steps:
                self._check_text(f"{key}.one", step["one"], set())
                self._check_text(f"{key}.many", step["many"], {"n"})
        for level in self.statistics["levels"]:
            self._check_text("statistics", level["text"], {"events"})

    def _check_text(self, where: str, text: str, slots: set[str]) -> None:
        try:
            used = fields_of(text)
        except (ValueError, TypeError) as error:
            raise ValueError(f"templates {self.name!r}: {where} {text!r}: {error}") from error
        if used - slots:
            raise ValueError(
                f"templates {self.name!r}: {where} uses {sorted(used - slots)}; it may use "
                f"{sorted(slots) or 'no field'} (write {{{{ and }}}} for braces)"
            )


def fields_of(text: str) -> set[str]:
    """Return the names of the fields of a format string."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def _by_value(phrases: Mapping[str, str | None], value: str | None) -> str | None:
    """Return the phrase for a value, else that of ``"*"``; that of ``""`` if it is missing."""
    key = "" if value is None else value if value in phrases else "*"
    phrase = phrases.get(key)
    return phrase if phrase is None or value is None else phrase.format(value=value)


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}." if words else ""
