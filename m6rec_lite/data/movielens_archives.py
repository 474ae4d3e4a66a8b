"""The published archives of three MovieLens data sets."""

from __future__ import annotations

from dataclasses import dataclass

from m6rec_lite.data.tables import Card

_SITE = "https://files.grouplens.org/datasets/movielens"
_NO_SHARING = (
    "Research use with acknowledgement; no redistribution without permission, no commercial use."
)
_TIES = (
    "{} of the ratings share their second with another of the same user: ties stay in file order."
)


@dataclass(frozen=True)
class Archive:
    """A published archive and the contents of its folder.

    Attributes:
        url: address of the publisher's zip file, which has one folder of the data set's name.
        sha256: checksum of that file.
        files: names of the files that the reader needs.
        rows: number of ratings.
        users: number of users with a rating.
        items: number of films with a rating.
        card: data card.
    """

    url: str
    sha256: str
    files: tuple[str, ...]
    rows: int
    users: int
    items: int
    card: Card


ARCHIVES: dict[str, Archive] = {
    "ml-100k": Archive(
        f"{_SITE}/ml-100k.zip",
        "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
        ("u.data", "u.item", "u.genre", "u.user"),
        rows=100_000,
        users=943,
        items=1_682,
        card=Card(
            "MovieLens 100K",
            _NO_SHARING,
            "GroupLens, University of Minnesota",
            (
                _TIES.format("76 %"),
                "u.item is latin-1; 18 films occur twice in it, with two ids.",
                "Film 267 is called 'unknown' and has no date.",
                "Every user has at least 20 ratings: there are no new users.",
                "Users rated in a few sessions, from lists: the order partly reflects what the "
                "site displayed, not what they watched.",
            ),
        ),
    ),
    "ml-1m": Archive(
        f"{_SITE}/ml-1m.zip",
        "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
        ("ratings.dat", "movies.dat", "users.dat"),
        rows=1_000_209,
        users=6_040,
        items=3_706,
        card=Card(
            "MovieLens 1M",
            _NO_SHARING,
            "GroupLens, University of Minnesota",
            (
                _TIES.format("Most"),
                "movies.dat is latin-1; fields are separated by '::'.",
                "movies.dat lists 3,883 films, of which 3,706 were rated.",
                "The date of a release is 1 January of the year in the title.",
                "Every user has at least 20 ratings; 63 % gave all of them within a day.",
            ),
        ),
    ),
    "ml-latest-small": Archive(
        f"{_SITE}/ml-latest-small.zip",
        "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
        ("ratings.csv", "movies.csv", "tags.csv"),
        rows=100_836,
        users=610,
        items=9_724,
        card=Card(
            "MovieLens latest, small (September 2018)",
            "May be redistributed under the same terms, with acknowledgement; no commercial use.",
            "GroupLens, University of Minnesota",
            (
                _TIES.format("23 %"),
                "Its publisher calls it a development set that may change: not for published "
                "results.",
                "Ratings have half stars; lines end in CRLF.",
                "Users have no attributes at all.",
                "The date of a release is 1 January of the year in the title.",
                "The 3,683 tags that users wrote are read only with user_tags=True: some are the "
                "test users' own words about the test items.",
            ),
        ),
    ),
}
