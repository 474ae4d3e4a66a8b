"""The bazaar: a simulated open-domain platform with known choice probabilities.

``load`` reads the data set that ships with the course; ``generate`` simulates another one from
parameters (``Dials``) and a seed. Both return a ``Dataset`` with an ``oracle``.

    world        items, shoppers and weather
    choice       probabilities of a shopper's next event
    simulate     organic events, drawn from these probabilities
    oracle       the same probabilities as a model
    bayes_filter the same, given what can be observed
    exposure     slates by a logging policy of known propensities, and their clicks
    talk         which reviews, queries and dialogues there are
    text         titles, descriptions, and the text of reviews, queries and dialogues
    storage      Parquet files
    cached       larger worlds, generated on first use
    rules        what holds in a world, as pairs of words
    statements   the library: texts that state these rules
    terse        item texts without style and level
    drawing      pictures of items
    friends      friendships between shoppers
    stream       a hundred million interactions in bounded memory
"""

from m6rec_lite.data.bazaar.bayes_filter import BayesFilter
from m6rec_lite.data.bazaar.cached import WORLDS, load_world
from m6rec_lite.data.bazaar.dials import WORLD_VERSION, Dials
from m6rec_lite.data.bazaar.drawing import pictures
from m6rec_lite.data.bazaar.exposure import FrontPage
from m6rec_lite.data.bazaar.friends import friendships
from m6rec_lite.data.bazaar.generation import generate
from m6rec_lite.data.bazaar.oracle import FIRST_ITEM, Oracle, Response
from m6rec_lite.data.bazaar.rules import Rule
from m6rec_lite.data.bazaar.statements import LibraryText, library, library_rules
from m6rec_lite.data.bazaar.storage import load, save, tables_hash
from m6rec_lite.data.bazaar.terse import terse_items

__all__ = [
    "FIRST_ITEM",
    "WORLDS",
    "WORLD_VERSION",
    "BayesFilter",
    "Dials",
    "FrontPage",
    "LibraryText",
    "Oracle",
    "Response",
    "Rule",
    "friendships",
    "generate",
    "library",
    "library_rules",
    "load",
    "load_world",
    "pictures",
    "save",
    "tables_hash",
    "terse_items",
]
