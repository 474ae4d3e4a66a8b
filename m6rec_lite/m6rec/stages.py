"""Runs in stages that are each done once, so that an interrupted run can continue.

``stages.json`` holds the settings of the run and the results of finished stages, and is replaced
after each stage. An interrupted stage starts again, or continues from its own checkpoints.
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
from m6rec_lite.data.run_config import setting_differences


class Stages:
    """The stages of a run.

    Args:
        path: of ``stages.json``.
        of: the settings of the run, as JSON values.
        say: called with a message when a stage starts, ends, or was done before.

    Raises:
        ValueError: if the file is of other settings, or damaged.
    """

    def __init__(
        self, path: Path, of: Mapping[str, Any], say: Callable[[str], None] = print
    ) -> None:
        self.path, self.say = path, say
        self.of = json.loads(json.dumps(dict(of)))
        self.done = self._recorded()

    def _recorded(self) -> dict[str, dict[str, Any]]:
        """Return the stages in the file, of this process and of others."""
        if not self.path.is_file():
            return {}
        try:
            record = json.loads(self.path.read_text(encoding="utf-8"))
            settings, done = dict(record["of"]), dict(record["done"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{self.path} is damaged ({error!r}): delete it, and what is done is done again"
            ) from error
        if changed := setting_differences(settings, self.of):
            raise ValueError(
                f"{self.path.parent} holds work of other settings ({'; '.join(changed)}): go on "
                "with those, or name another folder"
            )
        return done

    def run(self, name: str, work: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """Run a stage, unless it is done.

        Args:
            name: of the stage.
            work: runs the stage and returns its results, as JSON values.

        Returns:
            The results, new or recorded.
        """
        if name in self.done:
            self.say(f"{name}: done before")
            return self.done[name]["found"]
        self.say(f"{name} ...")
        clock = time.perf_counter()
        results = _plain(dict(work()))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        seconds = round(time.perf_counter() - clock, 2)
        with FileLock(self.path.with_name(f".{self.path.name}.lock")):
            # Another process may have added stages.
            self.done |= self._recorded()
            self.done[name] = {"seconds": seconds, "found": results}
            record = {"of": self.of, "done": self.done}
            write_text(self.path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        self.say(f"{name}: done in {seconds:.1f} s")
        return results


def _plain(value: Any) -> Any:
    """Return a value as JSON values, with null for numbers that are not finite."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return json.loads(json.dumps(value))
