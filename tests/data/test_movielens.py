"""The MovieLens readers on small files of the same form (all invented) and on the real ones."""

import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from m6rec_lite.data import DataError, leave_one_out, load_dataset
from m6rec_lite.data import folders as folders_module
from m6rec_lite.data import movielens as module
from m6rec_lite.data.__main__ import main
from m6rec_lite.data.folders import checkout_folder, data_folder
from m6rec_lite.data.movielens import ARCHIVES, load_movielens

GENRES = "unknown|0\nAction|1\nDrama|2\n\n"
SMALL = {
    "ml-100k": {
        "u.data": "7\t2\t4\t900\n5\t1\t3\t800\n7\t1\t5\t900\n",
        "u.genre": GENRES,
        "u.item": "1|Café Noir (1990)|01-Jan-1990||http://x|0|1|1\n"
        "2|Untitled||||1|0|0\n3|Silent (1922)|04-Mar-1922||http://x|0|0|1\n",
        "u.user": "5|17|F|writer|00000\n7|57|M|doctor|T8H1N\n",
    },
    "ml-1m": {
        "ratings.dat": "7::2::4::900\n5::1::3::800\n7::1::5::900\n",
        "movies.dat": "1::Café: Noir (1990)::Action|Drama\n2::Untitled::Drama\n"
        "3::Silent (1922)::Drama\n",
        "users.dat": "5::F::1::20::00000\n7::M::56::6::00000-1\n",
    },
    "ml-latest-small": {
        "ratings.csv": "userId,movieId,rating,timestamp\r\n7,2,0.5,900\r\n5,1,3.0,800\r\n"
        "7,1,5.0,900\r\n",
        "movies.csv": 'movieId,title,genres\r\n1,"Café, Noir (1990)",Action|Drama\r\n'
        "2,Untitled,(no genres listed)\r\n3,Silent (1922) ,Drama\r\n",
        "tags.csv": "userId,movieId,tag,timestamp\r\n7,1,slow,1\r\n5,1,Slow ,2\r\n5,1,Drama,2\r\n",
    },
}
NAMES = list(SMALL)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A data folder with small sets, and counts to match."""
    for name, files in SMALL.items():
        (tmp_path / name).mkdir()
        encoding = "utf-8" if name == "ml-latest-small" else "latin-1"
        for file, text in files.items():
            (tmp_path / name / file).write_bytes(text.encode(encoding))
        small = replace(ARCHIVES[name], rows=3, users=2, items=2)
        monkeypatch.setitem(module.ARCHIVES, name, small)
    monkeypatch.setenv("M6REC_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_readers(root, name):
    data = load_dataset(name)
    rows = data.interactions
    assert rows["user_id"].tolist() == [7, 5, 7]  # file order, which breaks ties
    assert rows["item_id"].tolist() == [2, 1, 1]
    assert rows["timestamp"].tolist() == [900, 800, 900]
    assert rows["event"].eq("rate").all()
    assert rows["value"].tolist() == [0.5 if name == "ml-latest-small" else 4.0, 3.0, 5.0]
    items = data.items.set_index("item_id")
    assert items.index.tolist() == [1, 2, 3]
    assert items["title"][1].startswith("Café")
    assert items["tags"][1] == ["Action", "Drama"]
    assert items["category"][1] == "Action"
    if name != "ml-1m":
        assert items["tags"][2] == []
        assert pd.isna(items["category"][2])
    year = pd.to_datetime(items["released"], unit="s").dt.year
    assert year[1] == 1990
    assert year[3] == 1922
    assert pd.isna(items["released"][2])
    assert items["price"].isna().all()
    assert data.card.licence
    assert data.users["user_id"].tolist() == [5, 7]


@pytest.mark.parametrize("name", ["ml-100k", "ml-1m"])
def test_users(root, name):
    users = load_dataset(name).users
    assert users["age_band"].tolist() == ["under 18", "56 and over"]
    assert users["age_band"].cat.ordered
    assert users["gender"].tolist() == ["F", "M"]
    wanted = {"ml-100k": ["writer", "doctor"], "ml-1m": ["writer", "doctor/health care"]}
    assert users["occupation"].tolist() == wanted[name]
    assert load_dataset("ml-latest-small").users.columns.tolist() == ["user_id"]


def test_what_users_wrote_is_added_only_when_asked(root):
    assert load_dataset("ml-latest-small").items["tags"][0] == ["Action", "Drama"]
    tagged = load_dataset("ml-latest-small", user_tags=True).items["tags"]
    assert tagged[0] == ["Action", "Drama", "slow", "drama"]
    assert tagged[2] == ["Drama"]


def test_counts_that_differ_from_the_published_ones(root, monkeypatch, caplog):
    monkeypatch.setitem(module.ARCHIVES, "ml-1m", replace(module.ARCHIVES["ml-1m"], rows=4))
    with pytest.raises(DataError, match=r"holds 3 ratings of 2 users and 2 films; .* has 4, 2"):
        load_dataset("ml-1m")
    with caplog.at_level(logging.WARNING):
        assert len(load_dataset("ml-1m", on_bad_rows="drop").interactions) == 3
    assert "would not compare" in caplog.text


BROKEN = [
    ("ml-1m", "ratings.dat", "1,2,3,4\n", "ratings.dat"),
    ("ml-1m", "ratings.dat", "", "ratings.dat"),
    ("ml-1m", "movies.dat", "1::A (1990)\n", r"movies.dat, line 1: 2 fields where 3"),
    ("ml-1m", "movies.dat", "1::A (1990)::Drama\n", r"item_id: 1 of 3 rows name items"),
    ("ml-100k", "u.user", "5|x|F|writer|0\n", r"u.user: wanted a whole number.*'x'"),
    ("ml-1m", "users.dat", "5::F::1::21::0\n", "occupations lie between"),
    ("ml-1m", "movies.dat", "", "movies.dat is empty"),
    ("ml-100k", "u.item", "1|A||||0|1\n", r"u.item, line 1: 7 fields where 8"),
    ("ml-100k", "u.data", "7\t2\t4\t900000000000\n5\t1\t3\t1\n7\t1\t5\t1\n", "milliseconds"),
    (
        "ml-latest-small",
        "ratings.csv",
        "user,movieId,rating\n1,2,3\n",
        r"ratings.csv: wanted a CSV with the columns \[.userId",
    ),
]


@pytest.mark.parametrize(("name", "file", "text", "message"), BROKEN)
def test_broken_files_are_named(root, name, file, text, message):
    (root / name / file).write_text(text)
    with pytest.raises(DataError, match=f"(?s){message}"):
        load_dataset(name)


def test_missing_files(root, monkeypatch):
    (root / "ml-1m" / "users.dat").unlink()
    with pytest.raises(DataError, match=r"exists but lacks users\.dat"):
        load_dataset("ml-1m")
    with pytest.raises(DataError, match=r"lacks users\.dat"):
        load_dataset("ml-1m", folder=root / "ml-1m")
    with pytest.raises(DataError, match=r"lacks u.data, .*Put the files of https://files.group"):
        load_movielens("ml-100k", folder=root / "nowhere")
    monkeypatch.setenv("M6REC_DATA", str(root / "empty"))
    with pytest.raises(DataError, match=r"lacks u\.data"):
        load_dataset("ml-100k", download=False)


def test_names_and_options(root, tmp_path):
    with pytest.raises(DataError, match=r"\['bazaar', .*'ml-100k', 'ml-1m', 'ml-latest-small'\]"):
        load_dataset("ml-20m")
    with pytest.raises(ValueError, match="'raise' or 'drop'"):
        load_dataset("ml-1m", on_bad_rows="skip")
    with pytest.raises(ValueError, match="'raise' or 'drop'"):
        load_dataset("bazaar", on_bad_rows="skip")


def test_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("M6REC_DATA", str(tmp_path / "x" / ".." / "y"))
    assert data_folder() == (tmp_path / "y").resolve()
    monkeypatch.delenv("M6REC_DATA")
    assert data_folder() == Path(folders_module.__file__).parents[2] / "datasets"
    # installed elsewhere, the package lies in no checkout
    monkeypatch.setattr(folders_module, "__file__", str(tmp_path / "a" / "b" / "c" / "f.py"))
    monkeypatch.chdir(tmp_path)
    assert checkout_folder() is None
    with pytest.raises(DataError, match=r"outside a checkout.*M6REC_DATA is not set"):
        data_folder()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "m6rec-lite"\n')
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert data_folder() == tmp_path / "datasets"


def test_command_line(root, capsys):
    assert main(["ml-1m", "ml-100k"]) == 0
    out = capsys.readouterr().out
    assert "ml-1m: MovieLens 1M" in out
    assert "no user is left" in out  # three rows cannot be split
    assert str(root / "ml-100k") in out
    assert main(["ml-1m", "no-such-set"]) == 1
    captured = capsys.readouterr()
    assert "[FAIL] no-such-set: no data set" in captured.err
    assert "MovieLens 1M" in captured.out


# the real files -------------------------------------------------------------------------------

REAL = {
    "ml-100k": (943, 1_349, 99_287, 0.7577),
    "ml-1m": (6_040, 3_416, 999_611, None),
    "ml-latest-small": (610, 3_650, 90_274, 0.2304),
}
#: Plain bigram, ties broken by popularity, as an independent evaluator measured it.
BIGRAM = {"ml-100k": (0.1448, 0.0761), "ml-1m": (0.2083, 0.1217)}


def real(name):
    folder = os.environ.get("M6REC_DATA", "")
    if not all((Path(folder) / name / file).is_file() for file in ARCHIVES[name].files):
        pytest.skip(f"M6REC_DATA names no folder that holds {name}")
    return load_dataset(name, download=False)


@pytest.mark.real_data
@pytest.mark.parametrize("name", NAMES)
def test_real_counts(name):
    data = real(name)
    users, items, rows, tied = REAL[name]
    split = leave_one_out(data)
    assert (split.train.n_users, split.train.n_items) == (users, items)
    assert len(split.train) + len(split.validation) + len(split.test) == rows
    if tied:
        assert data.counts()["tied_rows"] == tied
    assert data.dropped == ()
    page = (Path(__file__).parents[2] / "datasets" / "README.md").read_text("utf-8")
    assert f"| `{name}` | {users:,} | {items:,} | {rows:,} | `{split.hash}` |" in page
    assert data.items["title"].notna().all()
    if name == "ml-100k":
        repeated = data.items["title"].value_counts()
        assert (repeated > 1).sum() == 18
        assert data.items["released"].isna().sum() == 1
    if name == "ml-latest-small":
        assert sorted(data.interactions["value"].unique()) == list(np.arange(0.5, 5.5, 0.5))


@pytest.mark.real_data
@pytest.mark.parametrize("name", BIGRAM)
def test_tie_rule_gives_the_known_bigram(name):
    """Another order of tied rows changes up to a quarter of the targets, and these figures."""
    split = leave_one_out(real(name))
    train, histories = split.train, split.test.histories
    follows = train.users[1:] == train.users[:-1]
    counts = sparse.coo_array(
        (np.ones(follows.sum()), (train.items[:-1][follows], train.items[1:][follows])),
        shape=(train.n_items, train.n_items),
    ).tocsr()
    popularity = np.bincount(train.items, minlength=train.n_items)
    scores = counts[histories.items[histories.offsets[1:] - 1]].toarray() + popularity * 1e-7
    scores[histories.rows, histories.items] = -np.inf
    target = scores[np.arange(len(scores)), split.test.targets]
    rank = (scores > target[:, None]).sum(axis=1)
    hit, ndcg = np.mean(rank < 10), np.mean(np.where(rank < 10, 1 / np.log2(rank + 2), 0))
    assert (hit, ndcg) == pytest.approx(BIGRAM[name], abs=6e-4)
