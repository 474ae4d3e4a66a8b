"""Links that open lessons elsewhere lead to files of this repository, at its address."""

import json
import re
import tomllib
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

ROOT = Path(__file__).resolve().parents[1]
LAUNCH = re.compile(r"https://(?:colab\.research\.google\.com|mybinder\.org)/[^\s)\"]+")


def repository() -> str:
    """Owner and name of the repository, as pyproject.toml has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return urlsplit(project["urls"]["Repository"]).path.strip("/")


def opened(address: str) -> tuple[str, str]:
    """Repository and path of the file that an address opens."""
    parts = urlsplit(address)
    if parts.netloc == "mybinder.org":
        kind, host, owner, name, branch = parts.path.strip("/").split("/")
        assert (kind, host, branch) == ("v2", "gh", "main")
        (path,) = parse_qs(parts.query)["urlpath"]
        return f"{owner}/{name}", path.removeprefix("lab/tree/")
    host, owner, name, kind, branch, path = parts.path.strip("/").split("/", 5)
    assert (host, kind, branch) == ("github", "blob", "main")
    return f"{owner}/{name}", path


def test_the_launch_links_open_lessons_of_this_repository():
    found = LAUNCH.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert {urlsplit(address).netloc.split(".")[0] for address in found} == {"colab", "mybinder"}
    for address in found:
        name, path = opened(address)
        assert name == repository()
        assert (ROOT / path).is_file(), address


def test_what_the_links_build_installs_the_pinned_packages():
    pinned = '-c constraints.txt -e ".[course]"'
    assert pinned in (ROOT / "binder" / "postBuild").read_text(encoding="utf-8")
    assert pinned in (ROOT / "book" / "open_in.md").read_text(encoding="utf-8")
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
    assert "-c constraints.txt -e '.[course,test]'" in container["postCreateCommand"]
