"""M6-Rec's tasks: one file each, the same three verbs, one model for all of them."""

from m6rec_lite.m6rec.tasks.task import Examples, Task, TaskBatch, TaskBatches, collate

__all__ = ["Examples", "Task", "TaskBatch", "TaskBatches", "collate"]
