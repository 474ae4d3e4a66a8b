"""The report of an audit: findings, a rubric, HTML and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from m6rec_lite.audit.checks import CHECKS, CRITERIA, FAIL, PASS, UNKNOWN, WARNING, Finding
from m6rec_lite.audit.experiment import Experiment
from m6rec_lite.audit.lists import read_lists
from m6rec_lite.data.files import write_text
from m6rec_lite.data.interactions import Interactions
from m6rec_lite.data.tables import Dataset
from m6rec_lite.evaluation.ranking import check_k

#: Verdicts from the worst to the best, with the sign of each in a report.
SIGNS = {FAIL: "✗", WARNING: "!", UNKNOWN: "?", PASS: "✓"}
_COLOURS = {FAIL: "#9F3A00", WARNING: "#7A5B00", UNKNOWN: "#555555", PASS: "#00527D"}


@dataclass(frozen=True)
class Audit:
    """Findings about one experiment.

    Attributes:
        lists: name of the lists.
        log: name of the log.
        questions: number of users whose target is judged.
        models: NDCG@k of each model, mean over seeds and users.
        k: length of the lists that are judged.
        findings: one for each check, in the order of ``CHECKS``.
    """

    lists: str
    log: str
    questions: int
    models: dict[str, float]
    k: int
    findings: tuple[Finding, ...]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __getitem__(self, check: str) -> Finding:
        """Return the finding of a check.

        Raises:
            KeyError: if there is no such check.
        """
        if check not in CHECKS:
            raise KeyError(f"no check {check!r}; there are {', '.join(CHECKS)}")
        return next(finding for finding in self.findings if finding.check == check)

    @property
    def failed(self) -> bool:
        """Whether a check failed."""
        return any(finding.verdict == FAIL for finding in self)

    def rubric(self) -> pd.DataFrame:
        """Return the worst verdict of each criterion (``CRITERIA``), with what decided it."""
        rows = {}
        for criterion, checks in CRITERIA.items():
            worst = min((self[check] for check in checks), key=lambda f: [*SIGNS].index(f.verdict))
            rows[criterion] = [worst.verdict, worst.check, worst.sentence]
        return pd.DataFrame(rows, ["verdict", "decided by", "because"]).T

    def to_json(self, rubric: pd.DataFrame | None = None) -> str:
        """Return the report as a JSON object; ``rubric`` as in ``save``."""
        more = {} if rubric is None else {"rubric": rubric.T.to_dict()}
        return json.dumps(asdict(self) | more, ensure_ascii=False, indent=1)

    def to_html(self, rubric: pd.DataFrame | None = None) -> str:
        """Return the report as one page of HTML without other files; ``rubric`` as in ``save``."""
        rows = "".join(
            f'<tr><td style="color:{_COLOURS[f.verdict]};white-space:nowrap">'
            f"{SIGNS[f.verdict]} {f.verdict}</td><th scope=row>{f.check}</th>"
            f"<td>{'' if f.number is None else f'{f.number:.4g}'}</td>"
            f"<td>{escape(f.sentence)}</td></tr>"
            for f in self
        )
        table = self.rubric() if rubric is None else rubric
        graded = "".join(
            f"<li><b>{escape(str(name))}</b>: {escape(row['verdict'])}"
            f"{'' if name in CRITERIA else '. ' + escape(row['because'])}</li>"
            for name, row in table.iterrows()
        )
        models = "".join(
            f"<li>{escape(name)}: NDCG@{self.k} {value:.4f}</li>"
            for name, value in sorted(self.models.items(), key=lambda pair: -pair[1])
        )
        title = f"Audit of {escape(self.lists)}"
        return (
            f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            "<style>body{font:15px sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
            "td,th{padding:4px 10px;text-align:left;vertical-align:top;border-top:1px solid #ccc}"
            f"</style></head><body><h1>{title}</h1><p>Log: {escape(self.log)}; "
            f"{self.questions:,} questions.</p><h2>Rubric</h2><ul>{graded}</ul>"
            f"<h2>Checks</h2><table><tr><th>verdict</th><th>check</th><th>number</th>"
            f"<th>finding</th></tr>{rows}</table><h2>Models</h2><ul>{models}</ul></body></html>"
        )

    def save(self, folder: str | Path, *, rubric: pd.DataFrame | None = None) -> list[Path]:
        """Write ``audit.html`` and ``audit.json`` to a folder; return their paths.

        Args:
            folder: created if it does not exist.
            rubric: the table of ``rubric()`` with further rows, such as a measurement that no
                file shows; the page gives the reason of each further row. By default ``rubric()``.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / "audit.html", folder / "audit.json"]
        texts = self.to_html(rubric), self.to_json(rubric)
        for path, text in zip(paths, texts, strict=True):
            write_text(path, text)
        return paths

    def __str__(self) -> str:
        width = max(map(len, CHECKS))
        lines = [f"{SIGNS[f.verdict]} {f.check:<{width}}  {f.verdict}: {f.sentence}" for f in self]
        return "\n".join([f"{self.lists}, {self.questions:,} questions", *lines])


def audit(
    lists: str | Path | pd.DataFrame,
    log: Dataset,
    *,
    train: Dataset | Interactions | None = None,
    k: int = 10,
) -> Audit:
    """Audit an offline experiment from its lists, scores or target ranks.

    Args:
        lists: see ``read_lists``.
        log: all interactions, those of the targets included. Without a column ``target`` in the
            lists the targets are those of ``leave_one_out(log)``.
        train: the rows that the models were trained on; with them leaks are seen for certain.
        k: length of the lists that are judged.

    Raises:
        DataError: if the lists cannot be read or do not belong to the log.
        ValueError: if ``k`` is below 1.
    """
    (k,) = check_k(k)
    frame = read_lists(lists)
    experiment = Experiment.join(frame, log, train=train, k=k)
    means = np.nanmean(experiment.ndcg, axis=1)
    return Audit(
        lists=frame.attrs["name"],
        log=log.name,
        questions=len(experiment),
        models=dict(zip(experiment.models, means.tolist(), strict=True)),
        k=experiment.k,
        findings=tuple(Finding(name, *check(experiment)) for name, check in CHECKS.items()),
    )
