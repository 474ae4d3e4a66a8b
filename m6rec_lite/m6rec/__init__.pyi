from .adapt.adalora import AdaLoRA, RankAllocator
from .adapt.adapted import Adapted, TaskSwitch
from .adapt.adapters import Adapters, OptionAdapter
from .adapt.freezing import FineTuning, parameter_groups
from .adapt.lora import LoRA
from .adapt.method import Combined
from .adapt.prefix import PrefixTuning
from .adapt.prompt import OptionTuning, PromptTuning
from .batches import PretrainingBatches, packed_prefix_mask
from .click_model import M6RecCTR
from .compress.distillation import RelationDistillation
from .compress.early_exit import EarlyExitCTR, EarlyExitScoring, exit_weights
from .compress.late_interaction import (
    LateInteractionCTR,
    LateInteractionScoring,
    SegmentCache,
    cut_segments,
    segment_layout,
)
from .compress.onnx_export import OnnxScorer, export_onnx
from .compress.pruning import GradualPruning, count_nonzero, cubic_sparsity
from .compress.quantization import (
    dequantize_blockwise,
    quantize_blockwise,
    quantize_dynamic,
    quantize_weights,
)
from .compress.sharing import factorize_embedding, share_layers
from .compress.storage import load_compressed, save_compressed
from .config import SIZES, M6RecConfig
from .cost.budget import estimate_cost
from .cost.limited_process import answers_of, answers_with, limit_process, serve_limited
from .cost.measured_step import kept_bytes, measure
from .cost.memory import estimate_memory, largest_size_that_fits, ways_to_fit
from .cost.plan import MIXES, Mix, Plan, count_parameters, flops_a_token
from .cost.requests import (
    PJ_FLOAT32,
    PJ_INT8,
    Latency,
    count_multiply_adds,
    energy_joules,
    measure_latency,
    pareto,
)
from .cost.scaling import ScalingLaw, fit_law, resampled_laws
from .documents import pretraining_corpora
from .forgetting import DomainTexts, continue_pretraining, domain_texts
from .full_text_retriever import FullTextRetriever
from .infilling import Infilling, LastEvent, SentenceGeneration, to_rows
from .mixed_batches import MixedBatches
from .model import M6RecModel
from .new_domain import NewDomain
from .next_events import mean_events_read, next_event_documents
from .objective import PretrainingLoss
from .pretrained import PretrainedM6Rec
from .pretrained_lora import TextRows, add_lora, train_lora
from .pretraining import pretrain
from .prompts import PromptBuilder
from .retriever import M6RecRetriever
from .run_folder import tokens
from .settings import Pretraining
from .tasks import TASKS
from .tasks.conversation import Conversation
from .tasks.data import TaskData
from .tasks.design import Design
from .tasks.explanation import Explanation
from .tasks.generation import Generation
from .tasks.generators import CausalGenerator, PrefixGenerator
from .tasks.joint import Weights, train_jointly
from .tasks.losses import MultiTaskHead, adaptation_loss, multi_task_loss, regression_loss
from .tasks.multi_label import MultiLabelScoring
from .tasks.multitask import MultiTaskModel
from .tasks.query import Query
from .tasks.ranking import Ranking
from .tasks.retrieval import Retrieval, in_batch_softmax
from .tasks.scoring import Scoring, correct_for_sampling
from .tasks.service import Reply, ServiceDesk
from .tasks.task import Examples, Task, TaskBatches
from .tasks.trie import TitleTrie
from .tasks.truth import Truth
from .tasks.vector_index import VectorIndex
from .tasks.verbalizer import StatisticsVerbalizer
from .token_file import TokenFile
from .token_nats import token_nats

__all__ = [
    "MIXES",
    "PJ_FLOAT32",
    "PJ_INT8",
    "SIZES",
    "TASKS",
    "AdaLoRA",
    "Adapted",
    "Adapters",
    "CausalGenerator",
    "Combined",
    "Conversation",
    "Design",
    "DomainTexts",
    "EarlyExitCTR",
    "EarlyExitScoring",
    "Examples",
    "Explanation",
    "FineTuning",
    "FullTextRetriever",
    "Generation",
    "GradualPruning",
    "Infilling",
    "LastEvent",
    "LateInteractionCTR",
    "LateInteractionScoring",
    "Latency",
    "LoRA",
    "M6RecCTR",
    "M6RecConfig",
    "M6RecModel",
    "M6RecRetriever",
    "Mix",
    "MixedBatches",
    "MultiLabelScoring",
    "MultiTaskHead",
    "MultiTaskModel",
    "NewDomain",
    "OnnxScorer",
    "OptionAdapter",
    "OptionTuning",
    "Plan",
    "PrefixGenerator",
    "PrefixTuning",
    "PretrainedM6Rec",
    "Pretraining",
    "PretrainingBatches",
    "PretrainingLoss",
    "PromptBuilder",
    "PromptTuning",
    "Query",
    "RankAllocator",
    "Ranking",
    "RelationDistillation",
    "Reply",
    "Retrieval",
    "ScalingLaw",
    "Scoring",
    "SegmentCache",
    "SentenceGeneration",
    "ServiceDesk",
    "StatisticsVerbalizer",
    "Task",
    "TaskBatches",
    "TaskData",
    "TaskSwitch",
    "TextRows",
    "TitleTrie",
    "TokenFile",
    "Truth",
    "VectorIndex",
    "Weights",
    "adaptation_loss",
    "add_lora",
    "answers_of",
    "answers_with",
    "continue_pretraining",
    "correct_for_sampling",
    "count_multiply_adds",
    "count_nonzero",
    "count_parameters",
    "cubic_sparsity",
    "cut_segments",
    "dequantize_blockwise",
    "domain_texts",
    "energy_joules",
    "estimate_cost",
    "estimate_memory",
    "exit_weights",
    "export_onnx",
    "factorize_embedding",
    "fit_law",
    "flops_a_token",
    "in_batch_softmax",
    "kept_bytes",
    "largest_size_that_fits",
    "limit_process",
    "load_compressed",
    "mean_events_read",
    "measure",
    "measure_latency",
    "multi_task_loss",
    "next_event_documents",
    "packed_prefix_mask",
    "parameter_groups",
    "pareto",
    "pretrain",
    "pretraining_corpora",
    "quantize_blockwise",
    "quantize_dynamic",
    "quantize_weights",
    "regression_loss",
    "resampled_laws",
    "save_compressed",
    "segment_layout",
    "serve_limited",
    "share_layers",
    "to_rows",
    "token_nats",
    "tokens",
    "train_jointly",
    "train_lora",
    "ways_to_fit",
]
