"""Pictures of the site for a person to look at: ``python -m tests.screenshots [FOLDER]``.

Six pages, each in light and dark, as a window of 1280 x 900 and one of a phone show them. Needs
the site (``make book``), Chromium and the extra ``book``.
"""

import itertools
import sys
import tempfile
from pathlib import Path

from tests.browser import opened_tab

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "build" / "book"
OUT = ROOT / "build" / "screenshots"

#: Pages, each with how far it is scrolled, in heights of the window.
PAGES = {
    "book/index": 0,
    "notebooks/00_welcome": 2,
    "notebooks/10_attention_and_the_transformer": 4,
    "book/try_it": 0,
    "book/leaderboards": 0,
    "zh-CN/notebooks/16_m6_rec_behaviour_as_text": 1,
}
WINDOWS = {"desk": (1280, 900), "phone": (390, 844)}


def main(folder: Path) -> None:
    """Write the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    with profile, opened_tab(Path(profile.name)) as tab:
        tab.call("Page.enable")
        for (page, scrolled), theme, window in itertools.product(
            PAGES.items(), ("light", "dark"), WINDOWS
        ):
            width, height = WINDOWS[window]
            tab.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                     deviceScaleFactor=1, mobile=window == "phone")  # fmt: skip
            scheme = {"name": "prefers-color-scheme", "value": theme}
            tab.call("Emulation.setEmulatedMedia", features=[scheme])
            tab.open((SITE / f"{page}.html").as_uri())
            tab.evaluate(f"window.scrollTo(0, {scrolled * height})")
            path = folder / f"{page.replace('/', '_')}_{theme}_{window}.png"
            tab.screenshot(path)
            print(path, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else OUT)
