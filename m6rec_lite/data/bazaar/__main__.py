"""``python -m m6rec_lite.data.bazaar``: rebuild the data set that ships with the course."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from m6rec_lite.data.bazaar import Dials, generate, save


def main(arguments: list[str] | None = None) -> int:
    """Generate, write, and say what was written."""
    parser = argparse.ArgumentParser(prog="python -m m6rec_lite.data.bazaar", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("datasets/bazaar"), help="folder to write")
    for dial in fields(Dials):
        kind = int if isinstance(dial.default, int) else float
        parser.add_argument(
            f"--{dial.name.replace('_', '-')}", type=kind, default=dial.default,
            help=f"a dial (default {dial.default})",
        )  # fmt: skip
    given = vars(parser.parse_args(arguments))
    out = given.pop("out")
    try:
        dataset = generate(**given)
        about = save(dataset, out)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    size = sum(path.stat().st_size for path in out.glob("*.parquet")) / 2**20
    print(
        f"{out}: {len(dataset.interactions):,} interactions of {len(dataset.users):,} shoppers "
        f"with {len(dataset.items):,} items, {size:.1f} MiB, world version "
        f"{about['world_version']}, tables {about['tables_sha256'][:12]}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
