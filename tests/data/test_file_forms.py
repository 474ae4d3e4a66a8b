"""Own files of other forms: compressed, Parquet, JSON lines, any separator."""

from __future__ import annotations

import bz2
import gzip
import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.data import DataError, load_dataset

HEAD = "user_id,item_id,timestamp\n"
ROWS = "1,20,100\n1,10,200\n2,20,300\n"


def write(folder, text, name):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows_of(data):
    return data.interactions[["user_id", "item_id", "timestamp"]]


@pytest.fixture(scope="module")
def frame():
    return pd.DataFrame(
        {
            "user_id": ["ann", "ann", "bob"],
            "item_id": [20, 10, 20],
            "timestamp": [100, 200, 300],
            "title": ["Boots", None, "Boots"],
            "tags": [["a", "b"], [], ["a", "b"]],
        }
    )


def jsonl(frame):
    return "".join(
        json.dumps({k: v for k, v in row.items() if v is not None}) + "\n"
        for row in frame.astype(object).where(frame.notna(), None).to_dict("records")
    ).encode()


def test_every_form_and_ending_gives_the_same_rows(tmp_path, frame):
    plain = HEAD.encode() + b"ann,20,100\nann,10,200\nbob,20,300\n"
    contents = {
        "mine.CSV.GZ": gzip.compress(plain), "mine.csv.bz2": bz2.compress(plain),
        "mine.TXT": plain, "mine.jsonl": jsonl(frame), "mine.JSONL.gz": gzip.compress(jsonl(frame)),
    }  # fmt: skip
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    frame.to_parquet(tmp_path / "mine.Parquet")
    parts = tmp_path / "mine"
    parts.mkdir()
    (parts / "_SUCCESS").touch()
    (parts / "course.toml").touch()
    frame[:1].to_parquet(parts / "part-0.parquet")
    frame[1:].to_parquet(parts / "part-1.parquet")
    wanted = rows_of(load_dataset(frame))
    for name in (*contents, "mine.Parquet", "mine"):
        data = load_dataset(tmp_path / name, progress=False)
        pd.testing.assert_frame_equal(rows_of(data), wanted, obj=name)
        assert data.name == "mine"
        if "json" in name.lower() or "arquet" in name:
            assert data.items.set_index("item_id")["tags"][20] == ["a", "b"]


def test_a_folder_of_tables_may_mix_forms(tmp_path, frame):
    (tmp_path / "interactions.jsonl").write_bytes(jsonl(frame[["user_id", "item_id", "timestamp"]]))
    write(tmp_path, "item_id,title\n10,one\n20,two\n", "ITEMS.CSV")
    pd.DataFrame({"user_id": ["ann", "bob"], "city": ["Bern", "Rom"]}).to_parquet(
        tmp_path / "users.parquet"
    )
    data = load_dataset(tmp_path, progress=False)
    assert data.items["title"].tolist() == ["one", "two"]
    assert data.users["city"].tolist() == ["Bern", "Rom"]


def test_typed_files_keep_whole_numbers_beside_missing_values(tmp_path):
    large = 2**60 + 1
    frame = pd.DataFrame({"user_id": [1, 2, 3], "item_id": pd.array([large, None, 5], "Int64"),
                          "timestamp": [1, 2, 3]})  # fmt: skip
    frame.to_parquet(tmp_path / "mine.parquet")
    (tmp_path / "mine.jsonl").write_bytes(jsonl(frame))
    for name in ("mine.parquet", "mine.jsonl"):
        with pytest.raises(DataError, match="column item_id: 1 of 3 rows are missing"):
            load_dataset(tmp_path / name, progress=False)
        data = load_dataset(tmp_path / name, progress=False, on_bad_rows="drop")
        assert data.interactions["item_id"].tolist() == [large, 5]
        text = load_dataset(tmp_path / name, progress=False, on_bad_rows="drop", text_ids=True)
        assert text.interactions["item_id"].tolist() == [str(large), "5"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("mine.parquet", b"user_id,item_id\n", "cannot be read as Parquet"),
        ("mine.csv", b"PAR1....", "is a Parquet file; rename"),
        ("mine.jsonl", b"user_id,item_id\n1,2\n", "no line is a JSON object"),
        ("mine.jsonl", b'{"user_id": 1, "item_id": 2, "timestamp": 3}\n[1]\n',
         "line 2 is not a JSON object"),
        ("mine.jsonl", b'{"user_id": 1, "item_id": 2}\n', "column timestamp is missing"),
        ("mine.jsonl", b"\n", "is empty"),
    ],
)  # fmt: skip
def test_other_forms_are_refused_clearly(tmp_path, name, content, message):
    with pytest.raises(DataError, match=f"(?s)mine.*{message}"):
        load_dataset(write(tmp_path, content, name), progress=False)


def test_faulty_lines_of_jsonl_are_dropped_and_counted(tmp_path):
    row = b'{"user_id": 1, "item_id": 2, "timestamp": 3}\n'
    path = write(tmp_path, row + b"{broken\n", "mine.jsonl")
    data = load_dataset(path, progress=False, on_bad_rows="drop")
    assert [(e.problem, e.rows, e.first) for e in data.dropped] == [
        ("lines are not JSON objects", 1, (2,))
    ]
    with pytest.raises(ValueError, match=r"is for delimited text, and mine\.jsonl is jsonl"):
        load_dataset(path, sep=";", progress=False)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.text("ab,:\"'é字 0", min_size=1).filter(str.strip),
            st.integers(-(2**60), 2**60),
            st.integers(0, 99),
        ),
        min_size=1, max_size=20, unique=True,
    ),
    form=st.sampled_from(["mine.parquet", "mine.jsonl"]),
)  # fmt: skip
def test_typed_files_read_as_the_frame_does(tmp_path_factory, rows, form):
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    path = tmp_path_factory.mktemp("typed") / form
    if form == "mine.parquet":
        frame.to_parquet(path)
    else:
        path.write_bytes(jsonl(frame))
    pd.testing.assert_frame_equal(
        load_dataset(path, progress=False).interactions, load_dataset(frame).interactions
    )


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.text("ab,;é字", min_size=1), st.integers(-5, 5), st.integers(0, 99)),
        min_size=1, max_size=20, unique=True,
    ),
    sep=st.sampled_from([("::", "::"), (r"\s*\|\|\s*", " || "), (r" +", "   ")]),
)  # fmt: skip
def test_separators_of_several_characters(tmp_path_factory, rows, sep):
    pattern, text = sep
    lines = [("user_id", "item_id", "timestamp"), *rows]
    path = tmp_path_factory.mktemp("split") / "mine.dat"
    path.write_text("".join(text.join(map(str, line)) + "\n" for line in lines), "utf-8")
    data = load_dataset(path, sep=pattern, progress=False)
    assert list(rows_of(data).itertuples(index=False, name=None)) == rows


def test_bad_separators_and_lines_of_split_files(tmp_path):
    path = write(tmp_path, (HEAD + ROWS).replace(",", "::") + "1::2\n", "mine.dat")
    with pytest.raises(DataError, match=r"mine\.dat, line 5: 2 fields where the header has 3"):
        load_dataset(path, sep="::", progress=False)
    data = load_dataset(path, sep="::", progress=False, on_bad_rows="drop")
    assert len(data.interactions) == 3
    assert data.dropped[0].rows == 1
    with pytest.raises(DataError, match="the header is one column"):
        load_dataset(path, sep=";;", progress=False)
    with pytest.raises(ValueError, match=r"matches the empty text.*sep='\\\\|\\\\|'"):
        load_dataset(path, sep="||", progress=False)
    with pytest.raises(ValueError, match="is no regular expression"):
        load_dataset(path, sep="(,", progress=False)


@pytest.mark.parametrize("name", ["mine.csv.gz", "mine.csv.bz2", "mine.jsonl.gz", "mine.parquet"])
@pytest.mark.parametrize("damage", ["cut short", "other bytes"])
def test_a_damaged_compressed_file_is_named(tmp_path, name, damage):
    rows = pd.DataFrame({"user_id": range(3000), "item_id": range(3000)})
    rows["timestamp"] = (rows["item_id"] * 7919) % 10_007
    path = tmp_path / name
    if name.endswith(".parquet"):
        rows.to_parquet(path)
    elif "jsonl" in name:
        rows.to_json(path, orient="records", lines=True)
    else:
        rows.to_csv(path, index=False)
    whole = path.read_bytes()
    half = len(whole) // 2
    path.write_bytes(whole[:half] + (b"" if damage == "cut short" else b"x" * (len(whole) - half)))
    with pytest.raises(DataError, match=rf"{name} (is damaged|cannot be read)"):
        load_dataset(path, progress=False)
