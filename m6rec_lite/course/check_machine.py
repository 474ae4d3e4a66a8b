"""What a bug report needs to know of a machine, with the mend where something is missing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from m6rec_lite.course.paths import project_root

#: Packages whose versions explain most trouble, and what to do where one is missing.
PACKAGES: tuple[str, ...] = (
    "torch", "transformers", "accelerate", "numpy", "scipy", "pandas", "pyarrow", "matplotlib",
    "tqdm", "jupyterlab", "ipykernel", "papermill", "nbconvert", "psutil",
)  # fmt: skip

#: The course runs with this much, in GB of 10**9 bytes.
MEMORY_GB, DISK_GB = 4.0, 2.0

REAL_DATA: tuple[str, ...] = ("ml-100k", "ml-1m", "ml-latest-small")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: its name.
        found: what there is.
        mend: what to do about it; "" when it is good.
        needed: whether the course stops without it.
    """

    what: str
    found: str
    mend: str = ""
    needed: bool = True

    def __str__(self) -> str:
        mark = "[OK]  " if not self.mend else "[FAIL]" if self.needed else "[--]  "
        return f"{mark} {self.what}: {self.found}" + (f" -> {self.mend}" if self.mend else "")


def check_machine(say: Callable[[str], object] = print) -> int:
    """Look at everything and tell it.

    Args:
        say: called with each line.

    Returns:
        0 if nothing that the course needs is missing, else 1.
    """
    findings = look()
    for finding in findings:
        say(str(finding))
    failed = sum(bool(finding.mend) and finding.needed for finding in findings)
    say(f"{failed} to mend" if failed else "ready: make course")
    return 1 if failed else 0


def look() -> list[Finding]:
    """All findings, in the order in which to mend them."""
    found = [_python(), *(_package(name) for name in PACKAGES)]
    found += [_cores(), _memory(), _gpu(), _disk(), _kernel(), _bazaar()]
    return found + [_real_data(name) for name in REAL_DATA]


def _python() -> Finding:
    version = platform.python_version()
    told = f"{version} on {platform.system()} {platform.release()} {platform.machine()}"
    old = sys.version_info < (3, 11)
    return Finding("Python", told, "install Python 3.11 or later" if old else "")


def _package(name: str) -> Finding:
    try:
        return Finding(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        mend = 'pip install -c constraints.txt -e ".[course,test]"'
        return Finding(name, "not installed", mend)


def _cores() -> Finding:
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS or Windows
        cores = os.cpu_count() or 1
    return Finding("cores", f"{cores} ({platform.processor() or platform.machine()})")


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    total, free = memory.total / 1e9, memory.available / 1e9
    mend = "" if total >= MEMORY_GB else f"laptop scale wants {MEMORY_GB:.0f} GB; use SCALE=smoke"
    return Finding("memory", f"{total:.1f} GB, {free:.1f} GB free", mend, needed=False)


def _gpu() -> Finding:
    try:
        import torch
    except Exception as error:  # a broken driver or library must be told, not end the report
        return Finding("GPU", f"torch does not load: {error}", "install torch again")
    if torch.cuda.is_available():
        device = torch.cuda.get_device_properties(0)
        return Finding("GPU", f"{device.name}, {device.total_memory / 1e9:.0f} GB")
    if torch.backends.mps.is_available():
        return Finding("GPU", "Apple, through mps")
    return Finding("GPU", "none, and none is needed at smoke and laptop scale")


def _disk() -> Finding:
    free = shutil.disk_usage(project_root()).free / 1e9
    mend = "" if free >= DISK_GB else f"make room: a run and its data want {DISK_GB:.0f} GB"
    return Finding("disk", f"{free:.1f} GB free", mend)


def _kernel() -> Finding:
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ImportError:
        return Finding("Jupyter kernel", "not installed", "see ipykernel above")
    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")
    try:
        KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        mend = "python -m ipykernel install --sys-prefix"
        return Finding("Jupyter kernel", "no kernel named python3", mend)
    return Finding("Jupyter kernel", "python3")


def _bazaar() -> Finding:
    folder = project_root() / "datasets" / "bazaar"
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    if not files:
        mend = "it comes with the repository: git checkout -- datasets/bazaar"
        return Finding("data: bazaar", "missing", mend)
    size = sum(path.stat().st_size for path in files) / 1e6
    return Finding("data: bazaar", f"{len(files)} files, {size:.1f} MB")


def _real_data(name: str) -> Finding:
    named = os.environ.get("M6REC_DATA")
    folders = [Path(named)] if named else []
    folders.append(project_root() / "datasets")
    for folder in folders:
        if (folder / name).exists() or (folder / f"{name}.zip").exists():
            where = "M6REC_DATA" if named and folder == Path(named) else "datasets/"
            return Finding(f"data: {name}", f"in {where}")
    mend = "downloaded when it is first asked for; nothing to do"
    return Finding(f"data: {name}", "not here", mend, needed=False)
