from .app import create_app
from .batching import Batcher, Overloaded
from .event_store import EventStore, UserEvents
from .export import export_model, load_exported
from .guard import Limits, Redaction, TokenBucket, has_key
from .monitoring import Canary, DriftMonitor, ks_drift, psi, psi_threshold
from .partitions import partition_log, score_partition, score_partitions
from .search import GraphIndex, build_index, to_unit_items
from .served_model import Answer, Query, Reason, ServedModel
from .service import RecommendationService

__all__ = [
    "Answer",
    "Batcher",
    "Canary",
    "DriftMonitor",
    "EventStore",
    "GraphIndex",
    "Limits",
    "Overloaded",
    "Query",
    "Reason",
    "RecommendationService",
    "Redaction",
    "ServedModel",
    "TokenBucket",
    "UserEvents",
    "build_index",
    "create_app",
    "export_model",
    "has_key",
    "ks_drift",
    "load_exported",
    "partition_log",
    "psi",
    "psi_threshold",
    "score_partition",
    "score_partitions",
    "to_unit_items",
]
