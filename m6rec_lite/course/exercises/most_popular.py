"""Exercise ``most_popular``: warm-up: the most popular item of six rows."""

from __future__ import annotations

from m6rec_lite.course.exercises.engine import Exercise, KnownWrong

EXERCISE = Exercise(
    id="most_popular",
    title="Warm-up: the most popular item of six rows",
    expected="lamp",
    known_wrong=(
        KnownWrong(
            "tea",
            "Tea has the most rows, but all three are Ana's. Popularity asks how many people "
            "took an item; count each person once.",
        ),
        KnownWrong(
            "boots",
            "Boots have one taker, the fewest of all: look at the other end of the count.",
        ),
        KnownWrong("ana", "Ana is a shopper. The question asks for an item."),
        KnownWrong(2, "That is how many people took the most popular item. Which item is it?"),
        KnownWrong(
            "tea, lamp",
            "Tea has more rows and the lamp more people, but this is no tie: only people count.",
        ),
    ),
    hints=(
        "Make a small table on paper: one line an item, and beside it the names of its takers.",
        "Ana counts once for tea. How many names stand beside the lamp?",
    ),
    notice="Two people outvote three rows of one person. Real logs are full of repeats, and a "
    "count of rows counts most who buys most often.",
)
