"""A run in stages, each done once: killed at any moment and started again, it continues.

``stages.json`` holds the settings of the run and the results of the stages that are done. It is
written again, whole, after each stage; a stage that was cut off starts again, or continues from
what it has saved itself (training has checkpoints).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from m6rec_lite.data.files import write_text


class Stages:
    """The stages of a run.

    Args:
        path: of ``stages.json``.
        of: the settings of the run, as JSON holds them.
        say: called with a line for each stage that starts, ends, or was done before.

    Raises:
        ValueError: if the file is of other settings, or damaged.
    """

    def __init__(
        self, path: Path, of: Mapping[str, Any], say: Callable[[str], None] = print
    ) -> None:
        self.path, self.say = path, say
        self.of = json.loads(json.dumps(dict(of)))
        self.done = self._kept()

    def _kept(self) -> dict[str, dict[str, Any]]:
        """The stages that the file holds, of this process and of others."""
        if not self.path.is_file():
            return {}
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            settings, done = dict(kept["of"]), dict(kept["done"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{self.path} is damaged ({error!r}): delete it, and what is done is done again"
            ) from error
        names = [n for n in {**settings, **self.of} if settings.get(n) != self.of.get(n)]
        if names:
            differ = "; ".join(
                f"{n}: {settings.get(n)!r} there, {self.of.get(n)!r} now" for n in names
            )
            raise ValueError(
                f"{self.path.parent} holds work of other settings ({differ}): go on with those, "
                "or name another folder"
            )
        return done

    def run(self, name: str, work: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """Do a stage, unless it is done.

        Args:
            name: of the stage.
            work: does it, and returns its results, as JSON holds them.

        Returns:
            Its results, of now or of before.
        """
        if name in self.done:
            self.say(f"{name}: done before")
            return self.done[name]["found"]
        self.say(f"{name} ...")
        clock = time.perf_counter()
        found = _plain(dict(work()))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        seconds = round(time.perf_counter() - clock, 2)
        with FileLock(
            self.path.with_name(f".{self.path.name}.lock")
        ):  # another process may have added stages meanwhile
            self.done = {**self.done, **self._kept(), name: {"seconds": seconds, "found": found}}
            kept = {"of": self.of, "done": self.done}
            write_text(self.path, json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
        self.say(f"{name}: done in {seconds:.1f} s")
        return found


def _plain(value: Any) -> Any:
    """As JSON holds it; what is not a number becomes null, since JSON knows no NaN."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return json.loads(json.dumps(value))
