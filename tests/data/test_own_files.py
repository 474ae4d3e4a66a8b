"""A user's own files: forms of text, columns by other names, ids as text, and blocks."""

import ast
import gzip
import logging
import re
import subprocess
import sys

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.data import DataError, leave_one_out, load_dataset
from m6rec_lite.data.own_files import read_files

HEAD = "user_id,item_id,timestamp\n"
ROWS = "1,20,100\n1,10,200\n2,20,300\n"


def write(folder, text, name="mine.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(folder, text, **options):
    return read_files(write(folder, text), progress=False, **options)


def test_plain_file(tmp_path):
    data = load_dataset(write(tmp_path, HEAD + ROWS), progress=False)
    assert data.name == "mine"
    rows = data.interactions
    assert rows["user_id"].tolist() == [1, 1, 2]
    assert rows["item_id"].tolist() == [20, 10, 20]  # file order
    assert rows["event"].tolist() == ["click"] * 3
    assert rows["value"].tolist() == [1.0] * 3
    assert data.items["item_id"].tolist() == [10, 20]
    assert data.users["user_id"].tolist() == [1, 2]
    assert data.interactions.dtypes[["user_id", "item_id"]].eq("int64").all()


FORMS = {
    "byte-order mark": b"\xef\xbb\xbf" + (HEAD + ROWS).encode(),
    "CRLF": (HEAD + ROWS).replace("\n", "\r\n").encode(),
    "byte-order mark and CRLF": b"\xef\xbb\xbf" + (HEAD + ROWS).replace("\n", "\r\n").encode(),
    "semicolons": (HEAD + ROWS).replace(",", ";").encode(),
    "tabs": (HEAD + ROWS).replace(",", "\t").encode(),
    "bars": (HEAD + ROWS).replace(",", "|").encode(),
    "no newline at the end": (HEAD + ROWS).rstrip().encode(),
    "blank lines": (HEAD + "\n" + ROWS + "\n\n").encode(),
    "quoted values": b'"user_id","item_id","timestamp"\n"1","20","100"\n1,10,200\n2,20,300\n',
    "blanks around": b"user_id, item_id, timestamp\n1, 20, 100\n1, 10, 200\n2, 20, 300\n",
    "an index column": b",user_id,item_id,timestamp\n0,1,20,100\n1,1,10,200\n2,2,20,300\n",
    "another column order": b"timestamp,item_id,user_id\n100,20,1\n200,10,1\n300,20,2\n",
    "seconds as decimals": b"user_id,item_id,timestamp\n1,20,100.0\n1,10,200.0\n2,20,300.0\n",
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_forms_that_mean_the_same(tmp_path, form):
    plain = read(tmp_path, HEAD + ROWS)
    other = read(tmp_path, FORMS[form])
    pd.testing.assert_frame_equal(plain.interactions, other.interactions)
    pd.testing.assert_frame_equal(plain.items, other.items)


def test_other_encodings(tmp_path):
    text = HEAD + "andré,1,100\n"
    for encoding in ("latin-1", "cp1252", "utf-16"):
        data = read(tmp_path, text.encode(encoding), encoding=encoding)
        assert data.users["user_id"].tolist() == ["andré"]
    with pytest.raises(DataError, match=r"mine.csv, line 2: byte 0xe9 is not utf-8.*cp1252"):
        read(tmp_path, text.encode("latin-1"))
    far = HEAD + "bob,1,100\n" * 3 + "andré,1,100\n"
    with pytest.raises(DataError, match="line 5: byte 0xe9"):
        read(tmp_path, far.encode("latin-1"), block_bytes=64)
    with pytest.raises(DataError, match='encoding="utf-16"'):
        read(tmp_path, text.encode("utf-16"))
    with pytest.raises(ValueError, match="no encoding is called 'latin1000'"):
        read(tmp_path, text, encoding="latin1000")


def test_gzip(tmp_path):
    path = tmp_path / "mine.csv.gz"
    path.write_bytes(gzip.compress((HEAD + ROWS).encode()))
    data = read_files(path, progress=False)
    assert data.name == "mine"
    assert len(data.interactions) == 3


REFUSED = {
    "": "is empty",
    "\n\n": "is empty",
    HEAD: "has a header but no rows",
    "user_id,item_id,timestamp,user_id\n1,2,3,4\n": "header repeats 'user_id'",
    "1,2,100\n1,3,200\n": "first line should name the columns.*add a header",
    "userId,item_id,when\n1,2,3\n": "column user_id, timestamp is missing.*'user_id': 'userId'",
    HEAD + "1,2,100\n1,2\n": "line 3: 2 fields where the header has 3",
    HEAD + "1,2,100\n1,2,100,7\n": "line 3: 4 fields where the header has 3.*quotation marks",
    HEAD + '1,2,100\n"1,2,100\n1,2,300\n': "quotation mark",
    HEAD + "1,2,1693526400000\n": 'milliseconds.*timestamp_unit="ms"',
    HEAD + "1,2,2024-01-01\n": 'timestamp_unit="iso"',
    HEAD + "1,,100\n": "column item_id: 1 of 1 rows are missing",
    HEAD + "1,2,NaN\n": "column timestamp: 1 of 1 rows are missing",
    HEAD + "1,2,inf\n": "column timestamp: 1 of 1 rows are infinite",
    HEAD + "1,2,99999999999999999999999\n": "beyond 64 bits",
    "user_id,item_id,timestamp,value\n1,2,3,-inf\n": "column value: 1 of 1 rows are infinite",
    "user_id,item_id,timestamp,value\n1,2,3,\n": "column value: 1 of 1 rows are missing",
    HEAD + "a,x,3\nb,y,4\na,x,3\n": "repeat an earlier row.*row 2: user_id=a, item_id=x",
    "user_id,item_id,timestamp,event\n1,2,3,buy\n": "unknown event.*events=",
    b"PK\x03\x04....": "Excel",
    b"a,b\x00\x01": "not text",
}


@pytest.mark.parametrize("text", REFUSED)
def test_refusals_are_clear(tmp_path, text):
    with pytest.raises(DataError, match=f"(?s)mine.csv.*{REFUSED[text]}"):
        read(tmp_path, text)


def test_wrong_separator_is_named(tmp_path):
    with pytest.raises(DataError, match="give sep=';'"):
        read(tmp_path, (HEAD + ROWS).replace(",", ";"), sep=",")


def test_quoted_newlines_and_separators_stay_inside_a_value(tmp_path):
    write(tmp_path, HEAD + ROWS, "interactions.csv")
    write(
        tmp_path,
        'item_id,title,tags,price\n10,"Boots,\nwaterproof","a|b",9.5\n20,"say ""hi""",,NA\n',
        "items.csv",
    )
    items = read_files(tmp_path, progress=False).items
    assert items["title"].tolist() == ["Boots,\nwaterproof", 'say "hi"']
    assert items["tags"].tolist() == [["a", "b"], []]
    assert items["price"].isna().tolist() == [False, True]


def test_a_title_may_be_the_word_none(tmp_path):
    write(tmp_path, HEAD + ROWS, "interactions.csv")
    write(tmp_path, "item_id,title\n10,None\n20,NA\n", "items.csv")
    assert read_files(tmp_path, progress=False).items["title"].tolist() == ["None", "NA"]


def test_columns_by_other_names(tmp_path):
    text = "customer,sku,bought_at,stars,user_id\n7,8,100,4.5,junk\n"
    names = {"user_id": "customer", "item_id": "sku", "timestamp": "bought_at", "value": "stars"}
    row = read(tmp_path, text, columns=names).interactions.iloc[0]
    assert (row["user_id"], row["item_id"], row["value"], row["event"]) == (7, 8, 4.5, "rate")
    with pytest.raises(DataError, match=r"columns= names \['shop'\].*\['customer', 'sku'"):
        read(tmp_path, text, columns=names | {"user_id": "shop"})
    with pytest.raises(ValueError, match="The keys are our names"):
        read(tmp_path, text, columns={"customer": "user_id"})


def test_events_by_other_names(tmp_path):
    text = "user_id,item_id,timestamp,event\n1,2,3,buy\n1,3,4,view\n"
    events = read(tmp_path, text, events={"buy": "purchase"}).interactions["event"]
    assert events.tolist() == ["purchase", "view"]
    with pytest.raises(ValueError, match="events must map to"):
        read(tmp_path, text, events={"buy": "bought"})
    assert read(tmp_path, HEAD + ROWS, event="view").interactions["event"].eq("view").all()


@pytest.mark.parametrize(
    ("unit", "written"),
    [
        ("s", "1704103200"),
        ("ms", "1704103200999"),
        ("us", "1704103200000001"),
        ("ns", "1704103200000000001"),
        ("iso", "2024-01-01 10:00:00"),
        ("iso", "2024-01-01T12:00:00.25+02:00"),
    ],
)
def test_units_of_time(tmp_path, unit, written):
    data = read(tmp_path, HEAD + f"1,2,{written}\n", timestamp_unit=unit)
    assert data.interactions["timestamp"].tolist() == [1_704_103_200]
    with pytest.raises(DataError, match="not numbers"):
        read(tmp_path, HEAD + f"1,2,{written}\n1,2,soon\n", timestamp_unit=unit)


def test_ids_as_text_stay_as_they_are_written(tmp_path):
    data = read(tmp_path, HEAD + "ann,x-1,100\nbob,007,200\nann,7,300\n")
    assert data.interactions["user_id"].tolist() == ["ann", "bob", "ann"]
    assert data.interactions["item_id"].tolist() == ["x-1", "007", "7"]
    assert data.users["user_id"].tolist() == ["ann", "bob"]
    assert data.items["item_id"].tolist() == ["007", "7", "x-1"]


def test_whole_numbers_are_text_on_request(tmp_path):
    data = read(tmp_path, HEAD + ROWS, text_ids=True)
    assert data.interactions["item_id"].tolist() == ["20", "10", "20"]
    assert data.users["user_id"].tolist() == ["1", "2"]


def test_text_ids_join_tables_whatever_the_block(tmp_path):
    lines = "".join(f"u{n % 7},{n % 5},{n}\n" for n in range(200))
    write(tmp_path, HEAD + lines + "u1,last,999\n", "interactions.csv")
    write(tmp_path, "item_id,title\n" + "".join(f"{n},t{n}\n" for n in range(6)) + "last,z\n",
          "items.csv")  # fmt: skip
    data = read_files(tmp_path, progress=False, block_bytes=100)
    joined = data.interactions.merge(data.items, on="item_id")
    assert joined["item_id"].tolist() == [str(n % 5) for n in range(200)] + ["last"]
    assert joined["title"].tolist() == [f"t{n % 5}" for n in range(200)] + ["z"]
    assert data.interactions.index.tolist() == list(range(201))


def test_unknown_item_is_named_as_it_was_written(tmp_path):
    write(tmp_path, HEAD + "ann,x,1\nann,y,2\n", "interactions.csv")
    write(tmp_path, "item_id,title\nx,one\n", "items.csv")
    with pytest.raises(DataError, match=r"(?s)interactions.csv, column item_id.*row 1:.*item_id=y"):
        read_files(tmp_path, progress=False)
    data = read_files(tmp_path, progress=False, on_bad_rows="drop")
    assert len(data.interactions) == 1
    assert data.dropped[0].column == "item_id"


def test_drop_reports_every_row_that_went(tmp_path, caplog):
    bad = "1,,100\n1,2,NaN\n1,2,1693526400000\n1,2,3,4\n1,2\n1,20,100\n"
    with caplog.at_level(logging.WARNING):
        data = read(tmp_path, HEAD + ROWS + bad, on_bad_rows="drop")
    pd.testing.assert_frame_equal(data.interactions, read(tmp_path, HEAD + ROWS).interactions)
    assert sum(entry.rows for entry in data.dropped) == 6
    assert caplog.text.count("dropped") == len(data.dropped)


def test_one_row_loads_but_cannot_be_split(tmp_path):
    data = read(tmp_path, HEAD + "1,2,3\n")
    assert len(data.interactions) == 1
    with pytest.raises(DataError, match="mine: no user is left"):
        leave_one_out(data)


def test_a_row_longer_than_a_block(tmp_path):
    text = HEAD + ROWS + f"{'x' * 5000},2,3\n"
    with pytest.raises(DataError, match="raise block_bytes"):
        read(tmp_path, text, block_bytes=1000)
    assert len(read(tmp_path, text, block_bytes=10_000).interactions) == 4


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(-5, 5), st.text("ab,\"'\n é字", min_size=1), st.integers(0, 99)),
        min_size=1,
        max_size=30,
        unique=True,
    ),
    block=st.integers(256, 4096),
)
def test_what_pandas_writes_is_read_back(tmp_path_factory, rows, block):
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    frame = frame[frame["item_id"].str.strip() != ""]
    if frame.assign(item_id=frame["item_id"].str.strip()).duplicated().any() or frame.empty:
        return
    path = tmp_path_factory.mktemp("csv") / "mine.csv"
    frame.to_csv(path, index=False)
    data = read_files(path, progress=False, block_bytes=block)
    assert data.interactions["user_id"].tolist() == frame["user_id"].tolist()
    assert data.interactions["timestamp"].tolist() == frame["timestamp"].tolist()
    written = frame["item_id"].str.strip().tolist()
    assert data.interactions["item_id"].tolist() == written
    assert set(data.items["item_id"]) == set(written)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="measures memory as Linux counts")
def test_memory_follows_the_rows_not_the_text(tmp_path):
    path = tmp_path / "wide.csv"
    junk = "x" * 2000
    with path.open("w") as file:
        file.write("user_id,item_id,timestamp,page\n")
        file.writelines(f"{n % 99},{n % 1000},{n},{junk}\n" for n in range(100_000))
    script = (
        "import resource, sys\n"
        "from m6rec_lite.data.own_files import read_files\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        f"data = read_files({str(path)!r}, progress=False)\n"
        "assert len(data.interactions) == 100_000\n"
        "print(peak() - before)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert path.stat().st_size > 200e6
    assert int(run.stdout) * 1024 < 140e6


def test_folder_without_interactions_and_path_that_is_not(tmp_path):
    write(tmp_path, HEAD, "events.csv")
    with pytest.raises(DataError, match=r"holds no interactions.csv \(it holds \['events.csv'\]\)"):
        read_files(tmp_path)
    with pytest.raises(DataError, match="no data set and no file is called"):
        load_dataset(str(tmp_path / "nowhere"))


# Messages


def test_faults_are_counted_in_the_whole_file(tmp_path):
    lines = [f"{n},{'' if n in (5, 150, 299) else n % 9},{n}\n" for n in range(300)]
    with pytest.raises(DataError, match=r"(?s)item_id: 3 of 300 rows are missing.*row 5: user_id"):
        read(tmp_path, HEAD + "".join(lines), block_bytes=256)


def test_a_block_of_faulty_rows_alone_is_dropped(tmp_path):
    good, bad = "".join(f"{n},1,{n}\n" for n in range(60)), "".join(f"{n},,5\n" for n in range(99))
    data = read(tmp_path, HEAD + good + bad, block_bytes=200, on_bad_rows="drop")
    assert len(data.interactions) == 60
    assert data.dropped[0].rows == 99
    with pytest.raises(DataError, match="every row was faulty"):
        read(tmp_path, HEAD + bad, on_bad_rows="drop")


DATES = {
    "12/1/2010 8:26": ("%m/%d/%Y %H:%M", "both fit"),
    "12/31/2010 8:26": ("%m/%d/%Y %H:%M", "timestamp_unit"),
    "31.12.2010": ("%d.%m.%Y", "timestamp_unit"),
    "2010-12-31T08:26:00Z": ("iso", "timestamp_unit"),
    "Dec 31, 2010": ("%b %d, %Y", "timestamp_unit"),
    "12/31/2010 8:26 PM": ("%m/%d/%Y %I:%M %p", "timestamp_unit"),
}


@pytest.mark.parametrize("written", DATES)
def test_the_format_of_dates_is_advised_and_read(tmp_path, written):
    form, also = DATES[written]
    text = f"user_id;item_id;timestamp\n1;2;{written}\n"
    with pytest.raises(DataError, match=f'(?s)timestamp_unit="{re.escape(form)}"') as error:
        read(tmp_path, text)
    assert also in str(error.value)
    seconds = read(tmp_path, text, timestamp_unit=form).interactions["timestamp"][0]
    assert pd.Timestamp(seconds, unit="s").year == 2010


def test_fractions_of_unix_seconds_are_truncated_on_request(tmp_path):
    text = HEAD + "1,2,1262304000.75\n1,3,1262304001\n"
    with pytest.raises(DataError, match=r'(?s)1 of 2 rows are not whole.*timestamp_unit="s"'):
        read(tmp_path, text)
    rows = read(tmp_path, text, timestamp_unit="s").interactions
    assert rows["timestamp"].tolist() == [1262304000, 1262304001]


def test_the_advised_encoding_reads_the_file(tmp_path):
    for encoding, name in (("gb18030", "用户一"), ("gbk", "张伟"), ("cp1252", "Müller")):
        content = (HEAD + f"{name},1,100\n").encode(encoding)
        with pytest.raises(DataError, match="is not utf-8") as error:
            read(tmp_path, content)
        advised = re.search('encoding="(.*?)"', str(error.value))[1]
        assert read(tmp_path, content, encoding=advised).users["user_id"].tolist() == [name]


def test_advised_columns_are_in_the_form_that_works(tmp_path):
    write(tmp_path, "customer,sku,time\n1,2,3\n", "interactions.csv")
    write(tmp_path, "sku,title\n2,two\n", "items.csv")
    columns = None
    for _ in range(2):
        with pytest.raises(DataError, match="columns=") as error:
            load_dataset(tmp_path, columns=columns, progress=False)
        columns = ast.literal_eval(re.search(r"columns=(\{.*\})", str(error.value))[1])
    data = load_dataset(tmp_path, columns=columns, progress=False)
    assert data.items["title"].tolist() == ["two"]


def test_reviews_need_no_aspect_or_sentiment(tmp_path):
    write(tmp_path, HEAD + ROWS, "interactions.csv")
    write(tmp_path, "user_id,item_id,rating,text\n1,20,5,fine\n", "reviews.csv")
    reviews = load_dataset(tmp_path, progress=False).reviews
    assert reviews[["aspect", "sentiment"]].isna().all(axis=None)
    assert reviews["text"].tolist() == ["fine"]
