"""Settings of a run: read from the command line, and stored in the folder of the run.

A run can be resumed only with the settings that are stored.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from m6rec_lite.data.files import write_text

#: Errors that a user of a command can correct: it prints their message instead of a traceback.
USER_ERRORS = (ValueError, ArithmeticError, OSError, RuntimeError, MemoryError, ImportError)


def add_config_options(
    parser: argparse.ArgumentParser, config: type, *, skip: Collection[str] = ()
) -> None:
    """Add an option to a parser for each field of a dataclass, such as ``--lr`` for ``lr``.

    Args:
        parser: parser to change.
        config: a dataclass whose fields are numbers, texts, bools or tuples of these; ``| None`` is
            allowed. The help of an option is ``metadata["help"]`` of its field.
        skip: names of fields without an option.
    """
    hints = get_type_hints(config)
    for field in fields(config):
        if field.name in skip:
            continue
        kind, text = hints[field.name], field.metadata.get("help", "")
        if field.default is not None:
            text = f"{text} (default: {field.default})".strip()
        options: dict[str, Any] = {"default": field.default, "help": text}
        if kind is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif get_origin(kind) is tuple:
            options |= {"nargs": "*", "type": get_args(kind)[0]}
        else:
            options["type"] = next((t for t in get_args(kind) if t is not type(None)), kind)
        parser.add_argument(f"--{field.name.replace('_', '-')}", **options)


class RunConfigError(ValueError):
    """A folder holds a run of other settings, or its file of settings is damaged."""


def check_run_config(
    path: Path,
    config: Mapping[str, Any],
    *,
    kind: str = "a run",
    advice: str = "go on with those, or name another folder",
    write: bool = True,
) -> None:
    """Write the settings of a run to a JSON file, or compare them with those in the file.

    Args:
        path: path of the file; its folder is created if missing.
        config: settings that JSON can represent.
        kind: contents of the folder, for messages.
        advice: what to do if the settings differ, for messages.
        write: whether to write the file if it is missing.

    Raises:
        DiskFullError: if the disk is full.
        RunConfigError: if settings differ (the message names each), or the file is damaged.
    """
    config = json.loads(json.dumps(dict(config)))
    if not path.is_file():
        if write:
            write_text(path, json.dumps(config, indent=1) + "\n")
        return
    try:
        stored = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise RunConfigError(
            f"{path} is damaged ({error}): delete it to go on with the settings of this call"
        ) from error
    if changed := setting_differences(stored, config):
        raise RunConfigError(
            f"{path.parent} holds {kind} of other settings ({'; '.join(changed)}): {advice}"
        )


def setting_differences(
    stored: Mapping[str, Any], current: Mapping[str, Any], *, where: str = "there"
) -> list[str]:
    """Return a line for each setting that differs, with its dotted name and both values.

    Args:
        stored: stored settings; nested dicts, and lists of dicts, are compared by leaf.
        current: settings of this call.
        where: location of the stored settings, for the lines.
    """
    old, new = dict(_leaves(stored)), dict(_leaves(current))
    return [
        f"{name}: {_shown(old, name)} {where}, {_shown(new, name)} now"
        for name in old | new
        if old.get(name, ...) != new.get(name, ...)
    ]


def _shown(values: Mapping[str, Any], name: str) -> str:
    return repr(values[name]) if name in values else "absent"


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the value of each leaf."""
    if isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value):
        value = {str(index): entry for index, entry in enumerate(value)}
    if not isinstance(value, Mapping):
        yield name, value
        return
    for key, entry in value.items():
        yield from _leaves(entry, f"{name}.{key}" if name else key)
