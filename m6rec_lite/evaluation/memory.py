"""Free memory of this machine, and the refusal of work that would not fit into it."""

from __future__ import annotations

from pathlib import Path

import psutil

#: Where Linux reports the memory limit and usage of a container.
CONTAINER = Path("/sys/fs/cgroup")


class OutOfMemoryError(MemoryError):
    """Work needs more memory than the machine, or the device, has."""


def free_memory() -> float:
    """Return the available memory of the system, or what is left of a container's limit, in bytes.

    Source: cgroup v2, https://docs.kernel.org/admin-guide/cgroup-v2.html, ``memory.max``.
    """
    free = float(psutil.virtual_memory().available)
    limit, used = (CONTAINER / f"memory.{name}" for name in ("max", "current"))
    try:
        left = int(limit.read_text()) - int(used.read_text())
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return free
    return min(free, float(max(0, left)))


def require_memory(needed: float, what: str, advice: str) -> None:
    """Refuse work before it begins if it needs more memory than is free.

    Every model whose memory grows with the square of the items, or with users times items, calls
    this with its estimate.

    Args:
        needed: estimate of the peak, in bytes.
        what: the work and what makes it large, for the message.
        advice: what needs less.

    Raises:
        OutOfMemoryError: if more is needed than ``free_memory``.
    """
    free = free_memory()
    if needed > free:
        raise OutOfMemoryError(
            f"{what} needs about {needed / 2**30:.1f} GiB of memory, and {free / 2**30:.1f} GiB "
            f"are free. {advice}"
        )
