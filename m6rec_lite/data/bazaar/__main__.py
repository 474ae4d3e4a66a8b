"""``python -m m6rec_lite.data.bazaar``: rebuild the data set that ships with the course."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from m6rec_lite.data.bazaar import Dials, generate, save
from m6rec_lite.data.run_config import USER_ERRORS, add_config_options


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status (1 if the world could not be written)."""
    parser = argparse.ArgumentParser(prog="python -m m6rec_lite.data.bazaar", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("datasets/bazaar"), help="folder to write")
    add_config_options(parser, Dials)
    options = vars(parser.parse_args(arguments))
    out = options.pop("out")
    try:
        dataset = generate(**options)
        about = save(dataset, out)
    except USER_ERRORS as error:
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
