"""The project's own files agree with one another and tell nothing of the machine they came from."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from m6rec_lite.course.build.check_machine import Finding, check_machine, run_checks
from m6rec_lite.course.build.notebook_lint import MACHINE_PATH

ROOT = Path(__file__).resolve().parents[1]
TEXT = {".py", ".md", ".txt", ".yml", ".toml", ".json", ".csv", ".cfg", ".sh", ""}

PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==(\d[A-Za-z0-9.]*)")
#: Written in pieces, so that this file does not hold what it looks for.
INDEX_HOSTS = [f"{name}.org" for name in ("pypi", "download.pytorch", "files.pythonhosted")]
INDEX_HOSTS += ["pypi.tuna", "mirrors.aliyun", "--index" + "-url", "--find" + "-links"]


def pins() -> dict[str, str]:
    """Versions by package: every line is ``name==version``, without URL, path or build tag."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [PIN.fullmatch(line) or line for line in lines if line and not line.startswith("#")]
    assert [line for line in pinned if isinstance(line, str)] == []
    names = [canonicalize_name(match[1]) for match in pinned]
    assert len(set(names)) == len(names)
    return {match[1]: match[2] for match in pinned}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_pinned_packages_admit_the_oldest_python_that_the_project_admits():
    oldest = re.fullmatch(r">=(\d+\.\d+)", project()["requires-python"])[1]
    pinned = {canonicalize_name(name) for name in pins()}
    needs = {
        found.metadata["Name"]: found.metadata["Requires-Python"]
        for found in distributions()
        if canonicalize_name(found.metadata["Name"]) in pinned
    }
    refused = {
        name: python
        for name, python in needs.items()
        if python and not SpecifierSet(python).contains(f"{oldest}.0")
    }
    assert refused == {}
    assert len(needs) > 100


def test_the_conda_environment_installs_the_pinned_versions_and_the_course():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, _, pip = environment["dependencies"]
    assert python == "python=3.11"
    assert pip == {"pip": ["--requirement constraints.txt", "--editable ."]}


def test_the_pages_name_every_extra_and_only_targets_that_exist():
    commands = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    table = commands.split("| extra | brings |")[1]
    firsts = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    assert set(re.findall("[a-z]+", " ".join(firsts))) == set(project()["optional-dependencies"])
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.encode()) < 8_000
    targets = re.findall("^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    called = re.findall("(?:^|`)make ([a-z0-9-]+)", readme + commands, flags=re.MULTILINE)
    assert len(called) > 10
    assert set(called) <= set(targets)


def test_every_dependency_is_pinned_within_its_range():
    pinned = {canonicalize_name(name): Version(version) for name, version in pins().items()}
    described = project()
    extras = described["optional-dependencies"].values()
    wanted = [*described["dependencies"], *(line for extra in extras for line in extra)]
    for requirement in map(Requirement, wanted):
        name = canonicalize_name(requirement.name)
        if requirement.extras or name == canonicalize_name(described["name"]):
            continue
        assert name in pinned, f"{name} has no pin"
        assert pinned[name] in requirement.specifier, f"{name}=={pinned[name]} is out of range"
    assert pinned["torch"] == Version("2.13.0")


def tracked() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_the_citation_names_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(cited)  # what cff 1.2.0 requires
    assert cited["cff-version"] == "1.2.0"
    assert cited["version"] == project()["version"]
    assert cited["license"] == project()["license"]
    assert not {"doi", "url", "repository"} & set(cited)


def test_no_file_names_a_package_index_or_a_path_of_one_machine():
    reported = []
    for path in tracked():
        if path.suffix not in TEXT or path.resolve() == Path(__file__).resolve():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        reported += [f"{path.relative_to(ROOT)}: {host}" for host in INDEX_HOSTS if host in text]
        if (
            path.relative_to(ROOT).parts[0] != "tests"
        ):  # the tests of the rule hold such paths themselves
            reported += [f"{path.relative_to(ROOT)}: {m[0]}" for m in MACHINE_PATH.finditer(text)]
    assert reported == []


def test_only_the_automatic_check_looks_beside_the_checkout():
    outside = "../" + "shared"
    named = [
        path.relative_to(ROOT).as_posix()
        for path in tracked()
        if path.suffix in TEXT and outside in path.read_text(encoding="utf-8", errors="replace")
    ]
    assert set(named) <= {".ci/run"}


def make(tmp_path, *arguments):
    """``make`` in an empty project whose packages are never installed."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        if not (tmp_path / name).exists():
            shutil.copy(ROOT / name, tmp_path / name)
    return subprocess.run(
        ["make", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")


def fake_python(tmp_path, *, old=False, venv=True):
    """A python that answers the Makefile's questions as an old or incomplete one would."""
    script = tmp_path / "python"
    script.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *version_info*) exit {int(old)};; *ensurepip*) exit {int(not venv)};;\n'
        "  -V) echo Python 3.9.1;; *) echo unexpected $*; exit 9;; esac\n"
    )
    script.chmod(0o755)
    return script


@needs_make
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"old": True}, ["needs Python 3.11", "Python 3.9.1", "python3.11-venv"]),
        ({"venv": False}, ["lacks the venv module", "python3-venv"]),
    ],
)
def test_make_names_the_package_that_is_missing(how, message, tmp_path):
    done = make(tmp_path, "test", f"PYTHON3={fake_python(tmp_path, **how)}")
    assert done.returncode != 0
    for words in message:
        assert words in done.stderr
    assert not (tmp_path / ".venv").exists()


@needs_make
def test_make_names_what_to_install_where_there_is_no_python(tmp_path):
    done = make(tmp_path, "course", "PYTHON3=no-such-python")
    assert done.returncode != 0
    assert "Install Python 3.11" in done.stderr


@needs_make
def test_make_passes_scale_data_set_and_chapters_through(tmp_path):
    ready = tmp_path / ".venv" / ".installed"
    ready.parent.mkdir()
    make(tmp_path, "-n", "help")  # copies the files, so that the stamp is newer
    ready.touch()
    done = make(tmp_path, "-n", "course", "SCALE=laptop", "DATASET=ml-100k", "CHAPTERS=00,01")
    assert "run --scale laptop --dataset ml-100k --jobs 1 --chapters 00,01" in done.stdout
    done = make(tmp_path, "-n", "course", "M6REC_SCALE=")
    assert re.search(r"run --scale smoke --dataset bazaar --jobs 1 *$", done.stdout, re.MULTILINE)
    assert "pip install" not in done.stdout


def test_check_machine_tells_what_a_bug_report_needs():
    lines = []
    code = check_machine(lines.append)
    text = "\n".join(lines)
    for what in ("Python", "torch", "numpy", "cores", "memory", "GPU", "disk", "data: bazaar"):
        assert f" {what}: " in text
    assert code == (1 if "[FAIL]" in text else 0)


def test_a_missing_part_is_reported_with_its_fix(monkeypatch, tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "m6rec_lite").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("M6REC_DATA", raising=False)
    result = {finding.name: finding for finding in run_checks()}
    assert str(result["data: bazaar"]).startswith("[FAIL]")
    assert "git checkout" in result["data: bazaar"].remedy
    assert str(result["data: ml-1m"]).startswith("[--]")
    (tmp_path / "elsewhere" / "ml-1m").mkdir(parents=True)
    monkeypatch.setenv("M6REC_DATA", str(tmp_path / "elsewhere"))
    assert not {f.name: f for f in run_checks()}["data: ml-1m"].remedy
    assert check_machine(lambda line: None) == 1
    assert str(Finding("x", "y")) == "[OK]   x: y"


def test_simple_recommenders_do_not_wait_for_torch():
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, m6rec_lite.recommenders as r; r.EASE(); print('torch' in sys.modules); "
            "r.SASRec; print('torch' in sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert said == ["False", "True"]
