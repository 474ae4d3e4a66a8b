"""What the server accepts and returns; OpenAPI describes the same at ``/openapi.json``."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from m6rec_lite.data.tables import EVENTS

#: An id: a whole number of 64 bits, or a text, as in the data set. ``"5"`` is not ``5``.
WireId = (
    Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)]
    | Annotated[str, Field(strict=True, min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
)
Items = Annotated[list[WireId], Field(max_length=200)]
Count = Annotated[int, Field(strict=True, ge=1, le=100)]


class Message(BaseModel):
    """Base of all: a field that is not known is an error, not ignored."""

    model_config = ConfigDict(extra="forbid")


class Recommend(Message):
    """A user whose events are stored, items that follow them, or both; neither is a new user."""

    user: WireId | None = None
    items: Items = []
    k: Count = 10


class Item(Message):
    """An item with its title and score."""

    item_id: WireId
    title: str
    score: float


class Recommendations(Message):
    """Items, best first, and the version of the model."""

    items: list[Item]
    model: str


class Similar(Message):
    """An item whose neighbours are wanted."""

    item_id: WireId
    k: Count = 10


class Explain(Message):
    """Recommended items whose reasons are wanted, and the history as in ``Recommend``."""

    user: WireId | None = None
    items: Items = []
    item_ids: Annotated[list[WireId], Field(min_length=1, max_length=20)]


class Reasons(Message):
    """For each item the events that raise its score; ``score`` is by how much."""

    reasons: list[list[Item]]


class Event(Message):
    """An event to store. ``timestamp`` makes a repeated request store it once."""

    user: WireId
    item_id: WireId
    timestamp: Annotated[int, Field(strict=True, ge=0, lt=2**40)]
    event: Annotated[str, Field(pattern=f"^({'|'.join(EVENTS)})$")] = "click"


class Stored(Message):
    """Whether the event is new; it is on the disk in either case."""

    is_new: bool


class Find(Message):
    """A part of a title."""

    text: Annotated[str, Field(min_length=1, max_length=100)]


class Reload(Message):
    """Read the model folder again: for all users, or as a canary for a share of them.

    ``expect`` is the version that must be there.
    """

    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    expect: Annotated[str, Field(max_length=64)] | None = None


class Health(Message):
    """Whether the server answers, with which model, and names with a drift alarm."""

    status: str
    model: str
    canary: str | None
    drift: list[str]


class Error(Message):
    """What was wrong, and what to do."""

    error: str
