"""Exercise ``recalibrate``: mend chances learnt from thinned rows."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

_P = np.array([0.0, 1 / 3, 0.5, 0.9, 1.0])

EXERCISE = Exercise(
    id="recalibrate",
    title="Mend chances learnt from thinned rows",
    cases=(
        Case((np.array([1 / 3]), 1 / 12), [0.04], note="the chapter's"),
        Case((_P, 0.25), [0, 1 / 9, 0.2, 9 / 13, 1], note="certainties stay certain"),
        Case((_P, 1.0), _P, note="nothing was left out"),
    ),
    known_wrong=(
        KnownWrong(
            lambda p, share: p * share,
            "The chance is multiplied by the share. Odds are, chances are not: look at p = 1.",
        ),
        KnownWrong(
            lambda p, share: p / (p + (1 - p) * share),
            "The wrong way round: rows without the label were left out, so chances are too *high*, "
            "and must fall.",
        ),
        KnownWrong(
            lambda p, share: p / (p + 1 / share),
            "1 - p is missing: the odds compare clicks with what is *no* click.",
        ),
        KnownWrong(
            lambda p, share: p / (1 - p + 1e-12) * share,
            "Those are odds. A chance of them is odds / (1 + odds).",
        ),
        KnownWrong(
            lambda p, share: 1 - (1 - p) / share,
            "The chance of no click is divided by the share: it can grow beyond 1.",
        ),
    ),
    hints=(
        "Write the odds, p / (1 - p), in the thinned rows. What are they in all rows?",
        "With a share of the others kept, there are 1 / share as many others as were seen.",
        "p / (p + (1 - p) / share).",
    ),
    notice="The order of the rows does not change, so AUC is the same; log loss and every decision "
    "that multiplies a chance with a price are not.",
)
