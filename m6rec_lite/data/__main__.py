"""``python -m m6rec_lite.data NAME …``: download data sets and print their data cards."""

from __future__ import annotations

import argparse
import logging
import sys
import textwrap

from m6rec_lite.data.folders import data_folder
from m6rec_lite.data.load import NAMES, load_dataset
from m6rec_lite.data.run_config import USER_ERRORS
from m6rec_lite.data.splits import leave_one_out
from m6rec_lite.data.tables import DataError, Dataset


def describe(dataset: Dataset) -> str:
    """Return the data card as text: source, licence, counts, quirks and leave-one-out split."""
    card = dataset.card
    version = f" (version {card.version})" if card.version else ""
    lines = [f"{dataset.name}: {card.title}{version}", f"source: {card.source}"]
    lines += textwrap.wrap(f"licence: {card.licence}", 96, subsequent_indent="  ")
    for name, value in dataset.counts().items():
        count = f"{value:,}" if isinstance(value, int) else value
        lines.append(f"  {name.replace('_', ' '):<20}{count:>12}")
    for quirk in card.quirks:
        lines += textwrap.wrap(quirk, 96, initial_indent="- ", subsequent_indent="  ")
    lines += [f"! {entry}" for entry in dataset.dropped]
    try:
        split = leave_one_out(dataset)
    except DataError as error:
        lines += textwrap.wrap(f"leave-one-out: {error}", 96, subsequent_indent="  ")
    else:
        lines.append(
            f"leave-one-out: {split.train.n_users:,} users, {split.train.n_items:,} items, "
            f"{len(split.train) + len(split.validation) + len(split.test):,} rows, "
            f"hash {split.hash}"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status (1 if a data set could not be loaded)."""
    parser = argparse.ArgumentParser(
        prog="python -m m6rec_lite.data", description="Fetch data sets, and print their cards."
    )
    parser.add_argument(
        "names", nargs="*", default=["bazaar"], metavar="NAME",
        help=f"one of {', '.join(NAMES)}, or the path of a CSV file or folder (default: bazaar)",
    )  # fmt: skip
    parser.add_argument(
        "--on-bad-rows", choices=("raise", "drop"), default="raise", help="what to do with faults"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    failed = []
    for index, name in enumerate(options.names):
        if index:
            print()
        try:
            dataset = load_dataset(name, on_bad_rows=options.on_bad_rows)
        except USER_ERRORS as error:
            print(f"[FAIL] {name}: {error}", file=sys.stderr)
            failed.append(name)
            continue
        print(describe(dataset))
        if name in NAMES[1:]:
            print(f"files: {data_folder() / name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
