"""Chapters, opened in JupyterLab in a real browser, run all their cells without an error.

Every chapter is executed by the fast tier; here one of four is, with the browser's part.

Optional: it skips without Chromium (Debian: ``apt-get install chromium``). The browser is steered
through the DevTools protocol, the notebook through JupyterLab's own command "run all cells".
"""

import json
import os
import shutil
import sys
import urllib.request
from pathlib import Path

import pytest

from m6rec_lite.course.build.notebooks import stored_notebooks
from tests.browser import BROWSER, opened_tab, started, wait_for

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = [path for path in stored_notebooks(ROOT) if path.parent.name == "notebooks"][::4]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine"),
]
pytest.importorskip("websocket", reason="needs websocket-client")

RUN_ALL = """
(async () => {
  const app = window.jupyterapp, pause = ms => new Promise(done => setTimeout(done, ms));
  await app.restored;
  const panel = await app.commands.execute('docmanager:open', {path: PATH});
  await panel.context.ready;
  await panel.sessionContext.ready;
  while (!panel.sessionContext.session?.kernel) await pause(100);
  await app.commands.execute('notebook:run-all-cells');
  const cells = panel.content.model.sharedModel.toJSON().cells;
  await panel.sessionContext.shutdown();
  return JSON.stringify(cells.filter(cell => cell.cell_type === 'code'));
})()
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of what a reader opens, so that the chapters here stay as they are."""
    root = tmp_path_factory.mktemp("project") / "course"
    written = {"notebooks", "exercises", "solutions"}
    for name in written:
        shutil.copytree(ROOT / name, root / name)
    for folder in ROOT.iterdir():
        if folder.is_dir() and folder.name not in {*written, "runs"}:
            (root / folder.name).symlink_to(folder)
    return root


@pytest.fixture(scope="module")
def lab(project):
    """The address of a JupyterLab server in that copy."""
    state = project.parent / "jupyter"
    environment = os.environ | {
        "M6REC_SCALE": "smoke",
        "M6REC_STRICT": "1",
        "JUPYTER_PREFER_ENV_PATH": "1",
        "JUPYTER_RUNTIME_DIR": str(state / "runtime"),
        "JUPYTER_CONFIG_DIR": str(state / "config"),
        "JUPYTERLAB_SETTINGS_DIR": str(state / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(state / "workspaces"),
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0"]
    command += ["--ServerApp.ip=127.0.0.1", "--LabApp.expose_app_in_browser=True"]
    command += ["--LabApp.news_url=None", "--IdentityProvider.token=", f"--notebook-dir={project}"]

    def address():
        described = next((state / "runtime").glob("jpserver-*.json"))
        url = json.loads(described.read_text())["url"]
        urllib.request.urlopen(f"{url}api").close()
        return url

    with started(command, env=environment):
        yield wait_for(address)


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    """A page of a headless browser with a profile of its own."""
    with opened_tab(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


def run_all(tab, lab, path):
    """Run every cell of a notebook in JupyterLab; returns its code cells."""
    tab.call("Page.navigate", url=f"{lab}lab?reset")
    wait_for(lambda: tab.evaluate("Boolean(window.jupyterapp)"))
    return json.loads(tab.evaluate(RUN_ALL.replace("PATH", json.dumps(path))))


def errors(cells):
    return [
        f"{output['ename']}: {output['evalue']}"
        for cell in cells
        for output in cell["outputs"]
        if output["output_type"] == "error"
    ]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_runs_in_the_browser(path, tab, lab):
    cells = run_all(tab, lab, f"notebooks/{path.name}")
    assert errors(cells) == []
    assert all(cell["execution_count"] for cell in cells if cell["source"])


def test_an_error_would_be_seen(project, tab, lab):
    import nbformat

    cells = [nbformat.v4.new_code_cell("1 + 1"), nbformat.v4.new_code_cell("1 / 0")]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, project / "notebooks" / "99_wrong.ipynb")
    cells = run_all(tab, lab, "notebooks/99_wrong.ipynb")
    assert cells[0]["outputs"][0]["data"]["text/plain"] == "2"
    assert errors(cells) == ["ZeroDivisionError: division by zero"]


def test_an_experiment_answers_the_keyboard_in_jupyterlab(project, tab, lab):
    """The arrow keys move its slider, not JupyterLab's selection of a cell."""
    import nbformat

    data = {"items": ["a", "b"], "counts": [9, 4]}
    source = f"from m6rec_lite import course\ncourse.try_it('privacy', {data})"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source)], metadata={"kernelspec": kernel}
    )
    nbformat.write(notebook, project / "notebooks" / "98_experiment.ipynb")
    assert errors(run_all(tab, lab, "notebooks/98_experiment.ipynb")) == []
    shown = "document.querySelector('.try-it ol.bars')"
    wait_for(lambda: tab.evaluate(f"Boolean({shown})"))
    tab.call("Emulation.setFocusEmulationEnabled", enabled=True)
    tab.evaluate("document.querySelector('.try-it input[type=range]').focus()")
    for key, code in (("ArrowLeft", 37), ("ArrowDown", 40)):
        before = tab.evaluate(f"{shown}.textContent")
        tab.press(key, code)
        assert tab.evaluate("document.activeElement.type") == "range"
        assert tab.evaluate(f"{shown}.textContent") != before, key
