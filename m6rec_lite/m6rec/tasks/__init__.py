"""M6-Rec's tasks: one file each, and the same methods of the same signature."""

from m6rec_lite.m6rec.tasks.conversation import Conversation
from m6rec_lite.m6rec.tasks.data import TaskData
from m6rec_lite.m6rec.tasks.design import Design
from m6rec_lite.m6rec.tasks.explanation import Explanation
from m6rec_lite.m6rec.tasks.joint import JointBatches, JointLoss, Weights, train_jointly
from m6rec_lite.m6rec.tasks.multitask import MultiTaskModel
from m6rec_lite.m6rec.tasks.query import Query
from m6rec_lite.m6rec.tasks.ranking import Ranking
from m6rec_lite.m6rec.tasks.retrieval import Retrieval
from m6rec_lite.m6rec.tasks.scoring import Scoring
from m6rec_lite.m6rec.tasks.task import Examples, Task, TaskBatch, TaskBatches, collate

#: Every task by its name.
TASKS: dict[str, type[Task]] = {
    kind.name: kind
    for kind in (Scoring, Retrieval, Ranking, Explanation, Design, Query, Conversation)
}

__all__ = [
    "TASKS",
    "Conversation",
    "Design",
    "Examples",
    "Explanation",
    "JointBatches",
    "JointLoss",
    "MultiTaskModel",
    "Query",
    "Ranking",
    "Retrieval",
    "Scoring",
    "Task",
    "TaskBatch",
    "TaskBatches",
    "TaskData",
    "Weights",
    "collate",
    "train_jointly",
]
