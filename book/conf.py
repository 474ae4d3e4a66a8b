"""Sphinx configuration; the source directory is the project's folder. See ``make book``."""

import os
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

language = os.environ.get("BOOK_LANGUAGE", "en")
NAMES = {"en": "Recommenders as language models", "zh_CN": "推荐系统即语言模型"}
project = NAMES[language]
author = "the authors of m6rec-lite"
project_copyright = "the authors of m6rec-lite, Apache-2.0"
version = release = PROJECT["version"]

# Documents keep their places in the project, so that links between them need no translation.
root_doc = "book/index"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "book/*.md",
    "datasets/README.md",
    "docs/*.md",
    "exercises/*.ipynb",
    "notebooks/*.ipynb",
    "results/*.md",
]
exclude_patterns = [".[a-z]*", ".[a-z]*/**", "build", "runs", "tests", "solutions", "dist"]

extensions = [
    "myst_nb",
    "sphinx_copybutton",
    "book.figures",
    "book.glossary",
    "book.leaderboards",
    "book.lessons",
    "book.mathml",
    "book.search",
    "book.try_it",
]
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = "off"
nb_merge_streams = True
nb_render_markdown_format = "myst"
copybutton_selector = "div.cell_input pre, div.highlight pre"
highlight_language = "text"

# `sphinx -b linkcheck` asks for each address of others.
linkcheck_timeout = 20
linkcheck_ignore = [f"{PROJECT['urls']['Repository']}.*", "https://mybinder.org/v2/.*"]

# Chinese strings: `make translations` writes the catalogues from the lessons.
locale_dirs = [str(ROOT / "book" / "locale")]
gettext_compact = False
gettext_uuid = False
gettext_location = False
gettext_additional_targets = []
figure_language_filename = "{root}{ext}"

html_title = project
html_theme = "sphinx_book_theme"
html_math_renderer = "mathml"
html_static_path = ["static"]
html_css_files = ["book.css"]
html_js_files = [(name, {"defer": "defer"}) for name in ("terms.js", "book.js")]
templates_path = ["templates"]
html_additional_pages = {"index": "redirect.html"}
html_copy_source = False
html_show_sphinx = False
# The search reads pages by scripts alone; summaries would be fetched, which files cannot be.
html_show_search_summary = False
html_last_updated_fmt = None
html_sidebars = {
    "**": ["navbar-logo.html", "language.html", "search-button-field.html", "sbt-sidebar-nav.html"]
}
html_context = {"default_mode": "auto"}
html_theme_options = {
    "repository_url": PROJECT["urls"]["Repository"],
    "repository_branch": "main",
    "path_to_docs": "",
    "launch_buttons": {
        "binderhub_url": "https://mybinder.org",
        "colab_url": "https://colab.research.google.com",
        "notebook_interface": "jupyterlab",
    },
    "use_download_button": False,
    "use_fullscreen_button": False,
    "use_repository_button": True,
    "show_toc_level": 2,
    "navbar_persistent": [],
}
