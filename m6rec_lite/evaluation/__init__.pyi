from .alarms import AlarmRates, alarm_threshold, cusum, first_alarm, judge_alarm
from .beyond_accuracy import (
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
from .costs import Cost, Meter, measure_fit
from .ctr import (
    auc,
    auc_by_group,
    calibration_error,
    ctr_metrics,
    gauc,
    log_loss,
    reliability_curve,
)
from .ctr_compare import compare_auc
from .lists import TopKLists, top_lists
from .protocol import FixedScores, Ranker, evaluate, fit_and_evaluate
from .published import TIME_AWARE, TIME_BLIND, best_published
from .questions import Questions
from .rank_files import read_ranks
from .ranking import ACCURACY, TargetRanks, accuracy, f1, hr, mrr, ndcg, precision, recall
from .report import Report, compare, report_table
from .selection import BestOfN, best_of_n
from .significance import PairedTest, bootstrap_interval, paired_test
from .text import bleu, distinct, perplexity, rouge

__all__ = [
    "ACCURACY",
    "TIME_AWARE",
    "TIME_BLIND",
    "AlarmRates",
    "BestOfN",
    "Cost",
    "FixedScores",
    "Meter",
    "PairedTest",
    "Questions",
    "Ranker",
    "Report",
    "TargetRanks",
    "TopKLists",
    "accuracy",
    "alarm_threshold",
    "auc",
    "auc_by_group",
    "best_of_n",
    "best_published",
    "bleu",
    "bootstrap_interval",
    "calibration_error",
    "compare",
    "compare_auc",
    "coverage",
    "ctr_metrics",
    "cusum",
    "distinct",
    "diversity",
    "evaluate",
    "expected_satisfaction",
    "f1",
    "first_alarm",
    "fit_and_evaluate",
    "gauc",
    "hr",
    "item_features",
    "judge_alarm",
    "log_loss",
    "measure_fit",
    "mrr",
    "ndcg",
    "novelty",
    "overlap",
    "paired_test",
    "perplexity",
    "popularity_lift",
    "precision",
    "read_ranks",
    "recall",
    "reliability_curve",
    "report_table",
    "rouge",
    "satisfaction",
    "self_information",
    "top_lists",
    "unknown_share",
]
