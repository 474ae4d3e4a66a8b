"""How models are judged: metrics, the one protocol, significance.

``evaluate(model, split)`` gives a ``Report``; ``compare`` tests two of them against each other;
``ctr_metrics`` judges click probabilities. The metrics themselves lie in ``ranking``, ``lists``,
``beyond_accuracy`` and ``ctr``, each written to be read.
"""

from m6rec_lite.evaluation.beyond_accuracy import (
    coverage,
    diversity,
    expected_satisfaction,
    item_features,
    novelty,
    overlap,
    popularity_lift,
    satisfaction,
    self_information,
    unknown_share,
)
from m6rec_lite.evaluation.costs import Cost, Meter, measure_fit
from m6rec_lite.evaluation.ctr import (
    auc,
    auc_by_group,
    calibration_error,
    ctr_metrics,
    gauc,
    log_loss,
    reliability_curve,
)
from m6rec_lite.evaluation.lists import Lists, top_lists
from m6rec_lite.evaluation.protocol import FixedScores, Ranker, evaluate, fit_and_evaluate
from m6rec_lite.evaluation.questions import Questions
from m6rec_lite.evaluation.ranking import ACCURACY, Places, accuracy
from m6rec_lite.evaluation.report import Report, compare, report_table
from m6rec_lite.evaluation.significance import PairedTest, bootstrap_interval, paired_test

__all__ = [
    "ACCURACY",
    "Cost",
    "FixedScores",
    "Lists",
    "Meter",
    "PairedTest",
    "Places",
    "Questions",
    "Ranker",
    "Report",
    "accuracy",
    "auc",
    "auc_by_group",
    "bootstrap_interval",
    "calibration_error",
    "compare",
    "coverage",
    "ctr_metrics",
    "diversity",
    "evaluate",
    "expected_satisfaction",
    "fit_and_evaluate",
    "gauc",
    "item_features",
    "log_loss",
    "measure_fit",
    "novelty",
    "overlap",
    "paired_test",
    "popularity_lift",
    "reliability_curve",
    "report_table",
    "satisfaction",
    "self_information",
    "top_lists",
    "unknown_share",
]
