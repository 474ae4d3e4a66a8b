"""The settings of a run: read from the command line, and kept in the folder of the run.

A run that is started again goes on only with the settings that it began with.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from m6rec_lite.data.files import write_text


def add_config_options(
    parser: argparse.ArgumentParser, config: type, *, skip: Collection[str] = ()
) -> None:
    """Add an option to a parser for each field of a dataclass: ``lr`` becomes ``--lr``.

    Args:
        parser: what the options are added to.
        config: a dataclass whose fields are numbers, texts, bools or tuples of them; ``| None`` is
            allowed. ``metadata={"help": …}`` of a field is shown in the help.
        skip: fields that get no option.
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
    """A folder holds a run of other settings, or its record of them is damaged."""


def check_run_config(
    path: Path,
    config: Mapping[str, Any],
    *,
    kind: str = "a run",
    advice: str = "go on with those, or name another folder",
    write: bool = True,
) -> None:
    """Record the settings of a run in a JSON file, or compare them with those recorded there.

    Args:
        path: the file; its folder is made if it is missing.
        config: the settings, as JSON holds them.
        kind: what the folder holds, for messages.
        advice: what to do where the settings differ.
        write: record the settings if the file is missing.

    Raises:
        DiskFullError: if there is no room.
        RunConfigError: if the settings differ, naming each; or if the file is damaged.
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
    """Return a line for each setting that differs: its dotted name and both values.

    Args:
        stored: settings that were recorded; nested dicts, and lists of dicts, are compared by leaf.
        current: settings of this call.
        where: what to call the place of the stored settings.
    """
    before, after = dict(_leaves(stored)), dict(_leaves(current))
    return [
        f"{name}: {_shown(before, name)} {where}, {_shown(after, name)} now"
        for name in before | after
        if before.get(name, ...) != after.get(name, ...)
    ]


def _shown(values: Mapping[str, Any], name: str) -> str:
    return repr(values[name]) if name in values else "absent"


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value):
        value = {str(index): entry for index, entry in enumerate(value)}
    if not isinstance(value, Mapping):
        yield name, value
        return
    for key, entry in value.items():
        yield from _leaves(entry, f"{name}.{key}" if name else key)
