"""Report what a bug report needs to contain about a machine, with a remedy for what is missing."""

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

#: Packages whose versions are reported.
PACKAGES: tuple[str, ...] = (
    "torch", "transformers", "accelerate", "numpy", "scipy", "pandas", "pyarrow", "matplotlib",
    "tqdm", "jupyterlab", "ipykernel", "papermill", "nbconvert", "psutil",
)  # fmt: skip

#: Memory and disk space that the course needs, in GB of 10**9 bytes.
MEMORY_GB, DISK_GB = 4.0, 2.0

REAL_DATA: tuple[str, ...] = ("ml-100k", "ml-1m", "ml-latest-small")


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes:
        name: what was checked.
        value: its state.
        remedy: how to fix it; "" if nothing is wrong.
        required: whether the course needs it.
    """

    name: str
    value: str
    remedy: str = ""
    required: bool = True

    def __str__(self) -> str:
        mark = "[OK]  " if not self.remedy else "[FAIL]" if self.required else "[--]  "
        return f"{mark} {self.name}: {self.value}" + (f" -> {self.remedy}" if self.remedy else "")


def check_machine(say: Callable[[str], object] = print) -> int:
    """Run all checks and report them.

    Args:
        say: called with each line of the report.

    Returns:
        0 if nothing that the course needs is missing, else 1.
    """
    findings = run_checks()
    for finding in findings:
        say(str(finding))
    failed = sum(bool(finding.remedy) and finding.required for finding in findings)
    say(f"{failed} to fix" if failed else "ready: make course")
    return 1 if failed else 0


def run_checks() -> list[Finding]:
    """Run all checks, in the order in which to fix them."""
    findings = [_python(), *map(_package, PACKAGES)]
    findings += [_cores(), _memory(), _gpu(), _disk(), _kernel(), _bazaar()]
    return findings + [_real_data(name) for name in REAL_DATA]


def _python() -> Finding:
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    remedy = "install Python 3.11 or later" if sys.version_info < (3, 11) else ""
    return Finding("Python", f"{platform.python_version()} on {system}", remedy)


def _package(name: str) -> Finding:
    try:
        return Finding(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        remedy = 'pip install -c constraints.txt -e ".[course,test]"'
        return Finding(name, "not installed", remedy)


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
    remedy = f"laptop scale needs {MEMORY_GB:.0f} GB; use SCALE=smoke" if total < MEMORY_GB else ""
    return Finding("memory", f"{total:.1f} GB, {free:.1f} GB free", remedy, required=False)


def _gpu() -> Finding:
    try:
        import torch
    except Exception as error:  # a broken driver or library must not end the report
        return Finding("GPU", f"torch does not load: {error}", "install torch again")
    if torch.cuda.is_available():
        device = torch.cuda.get_device_properties(0)
        return Finding("GPU", f"{device.name}, {device.total_memory / 1e9:.0f} GB")
    if torch.backends.mps.is_available():
        return Finding("GPU", "Apple, through mps")
    return Finding("GPU", "none, and none is needed at smoke and laptop scale")


def _disk() -> Finding:
    free = shutil.disk_usage(project_root()).free / 1e9
    remedy = f"free some space: a run and its data need {DISK_GB:.0f} GB" if free < DISK_GB else ""
    return Finding("disk", f"{free:.1f} GB free", remedy)


def _kernel() -> Finding:
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ImportError:
        return Finding("Jupyter kernel", "not installed", "see ipykernel above")
    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")
    try:
        KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        remedy = "python -m ipykernel install --sys-prefix"
        return Finding("Jupyter kernel", "no kernel named python3", remedy)
    return Finding("Jupyter kernel", "python3")


def _bazaar() -> Finding:
    files = [path for path in (project_root() / "datasets/bazaar").rglob("*") if path.is_file()]
    if not files:
        remedy = "it is part of the repository: git checkout -- datasets/bazaar"
        return Finding("data: bazaar", "missing", remedy)
    size = sum(path.stat().st_size for path in files) / 1e6
    return Finding("data: bazaar", f"{len(files)} files, {size:.1f} MB")


def _real_data(name: str) -> Finding:
    folders = {"datasets/": project_root() / "datasets"}
    if variable := os.environ.get("M6REC_DATA"):
        folders = {"M6REC_DATA": Path(variable)} | folders
    for label, folder in folders.items():
        if (folder / name).exists() or (folder / f"{name}.zip").exists():
            return Finding(f"data: {name}", f"in {label}")
    remedy = "downloaded on first use; nothing to do"
    return Finding(f"data: {name}", "not here", remedy, required=False)
