"""Exercise ``read_dates``: a reader of dates that cannot guess."""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from datetime import datetime

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Seconds = list[int | None]

#: Formats of the file, besides unix seconds; all times are UTC.
FORMATS = ("%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p")


def _read(
    texts: Sequence[str], *, formats: Sequence[str] = FORMATS, hours: int = 0, unix: bool = True
) -> Seconds:
    """The right answer, and its usual neighbours."""
    result: Seconds = []
    for text in texts:
        seconds = int(text) if text.isdigit() and unix else None
        for form in formats:
            try:
                seconds = calendar.timegm(datetime.strptime(text, form).timetuple()) - 3600 * hours
                break
            except ValueError:
                pass
        result.append(seconds)
    return result


def _with_format(number: int, form: str) -> Sequence[str]:
    return [form if i == number else own for i, own in enumerate(FORMATS)]


def _month_first(texts: Sequence[str]) -> Seconds:
    """Month first wherever that gives a date, as a guessing reader does."""
    return _read(texts, formats=["%m.%d.%Y %H:%M:%S", *FORMATS])


CASES = (
    (["1680688800", "2023-04-05T10:00:00Z"], "unix seconds, and the same moment as a date"),
    (["05.04.2023 10:00:00", "25.04.2023 10:00:00"], "day first, with a point"),
    (["04/05/2023 10:00:00 AM", "04/05/2023 10:00:00 PM", "04/05/2023 12:00:01 AM"], "half days"),
    (["yesterday", "", "31.02.2023 10:00:00", "1680688800"], "three that are no dates"),
)

EXERCISE = Exercise(
    id="read_dates",
    title="Dates in four formats",
    data={"formats": FORMATS},
    cases=tuple(Case((texts,), _read(texts), note=note) for texts, note in CASES),
    known_wrong=(
        KnownWrong(
            _month_first,
            "05.04. was read as the fourth of May: month first, where that gives a date. Try the "
            "formats as they are given, and no other.",
        ),
        KnownWrong(
            lambda texts: _read(texts, unix=False),
            "Unix seconds are lost: they are no date in text, so they need a branch of their own.",
        ),
        KnownWrong(
            lambda texts: _read(texts, formats=_with_format(2, "%m/%d/%Y %H:%M:%S %p")),
            "PM is read and ignored: with %H the hour is one of 24. Hours of half a day are %I.",
        ),
        KnownWrong(
            lambda texts: _read(texts, hours=1),
            "The dates are read as local time, an hour east of UTC. The file is in UTC: use "
            "calendar.timegm, not time.mktime or naive timestamp().",
        ),
        KnownWrong(
            lambda texts: [s if s is None else 1000 * s for s in _read(texts)],
            "Those are milliseconds. Wanted are seconds since 1970.",
        ),
        KnownWrong(
            lambda texts: [s or 0 for s in _read(texts)],
            "A text that is no date became 0, the first of January 1970. Give None, so that it is "
            "counted and not trained on.",
        ),
        KnownWrong(
            lambda texts: [s for s in _read(texts) if s is not None],
            "Texts that are no dates are left out, and all later rows have the date of another. "
            "Keep one entry for each text: None.",
        ),
        KnownWrong(
            lambda texts: _read(texts, formats=FORMATS[:1]),
            "Only the first format is tried. Go on with the next if one does not fit.",
        ),
    ),
    hints=(
        "datetime.strptime(text, form) raises ValueError if the text has another form.",
        "text.isdigit() tells unix seconds.",
        "calendar.timegm(moment.timetuple()) are the seconds of a moment in UTC.",
    ),
    notice="A reader that names its formats fails loudly on a fifth one. A guessing reader never "
    "fails, and is wrong in silence.",
)
