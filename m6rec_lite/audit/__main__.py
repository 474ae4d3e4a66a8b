"""``python -m m6rec_lite.audit LISTS LOG``: audit anybody's offline experiment."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from m6rec_lite.audit.report import audit
from m6rec_lite.data.load import load_dataset


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return 0, 1 if a check failed, or 2 if the input cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m m6rec_lite.audit", description=__doc__)
    parser.add_argument(
        "lists", metavar="LISTS",
        help=".csv, .csv.gz, .parquet or .npz with the columns user, item, rank; user, item, "
        "score; or user, rank, candidates; optionally model, seed, target, query_time",
    )  # fmt: skip
    parser.add_argument("log", metavar="LOG", help="the interactions: a file, folder or data set")
    parser.add_argument("--train", metavar="FILE", help="the rows that the models were trained on")
    parser.add_argument(
        "--column", action="append", default=[], metavar="OURS=YOURS",
        help="name of a column of LOG and FILE, such as user_id=customer; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--timestamp-unit", help="s, ms, us, ns, iso, or a format such as %%Y%%m%%d"
    )
    parser.add_argument("--k", type=int, default=10, help="length of the lists (default: 10)")
    parser.add_argument("--out", type=Path, help="folder for audit.html and audit.json")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        pairs = [pair.partition("=") for pair in options.column]
        if wrong := [ours for ours, equals, yours in pairs if not (ours and equals and yours)]:
            raise ValueError(f"--column {wrong[0]!r}: write OURS=YOURS, such as user_id=customer")
        columns = {ours: yours for ours, _, yours in pairs} or None
        reading = {"columns": columns, "timestamp_unit": options.timestamp_unit, "progress": False}
        log = load_dataset(options.log, **reading)
        train = load_dataset(options.train, **reading) if options.train else None
        result = audit(options.lists, log, train=train, k=options.k)
        print(result)
        for path in result.save(options.out) if options.out else ():
            print(path)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 1 if result.failed else 0


if __name__ == "__main__":
    sys.exit(main())
