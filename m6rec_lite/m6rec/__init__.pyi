from .adapt.adalora import AdaLoRA, RankAllocator
from .adapt.adapted import Adapted, TaskSwitch
from .adapt.adapters import Adapters
from .adapt.combined import Combined
from .adapt.freezing import FineTuning, parameter_groups
from .adapt.lora import LoRA
from .adapt.option_adapter import OptionAdapter
from .adapt.options import OptionTuning
from .adapt.prefix import PrefixTuning
from .adapt.prompt import PromptTuning
from .batches import PretrainingBatches, packed_prefix_mask
from .click_model import M6RecCTR
from .config import SIZES, M6RecConfig
from .cost.budget import estimate_cost
from .cost.measured_step import kept_bytes, measure
from .cost.memory import estimate_memory, largest_size_that_fits, ways_to_fit
from .cost.plan import MIXES, Mix, Plan, count_parameters, flops_a_token
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
from .tasks.multitask import MultiTaskModel
from .tasks.query import Query
from .tasks.ranking import Ranking
from .tasks.retrieval import Retrieval, in_batch_softmax
from .tasks.scoring import Scoring, correct_for_sampling
from .tasks.task import Examples, Task, TaskBatches
from .tasks.trie import TitleTrie
from .tasks.truth import Truth
from .tasks.vector_index import VectorIndex
from .tasks.verbalizer import StatisticsVerbalizer
from .token_file import TokenFile

__all__ = [
    "MIXES",
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
    "Examples",
    "Explanation",
    "FineTuning",
    "FullTextRetriever",
    "Generation",
    "Infilling",
    "LastEvent",
    "LoRA",
    "M6RecCTR",
    "M6RecConfig",
    "M6RecModel",
    "M6RecRetriever",
    "Mix",
    "MixedBatches",
    "MultiTaskHead",
    "MultiTaskModel",
    "NewDomain",
    "OptionAdapter",
    "OptionTuning",
    "Plan",
    "PrefixGenerator",
    "PrefixTuning",
    "Pretraining",
    "PretrainingBatches",
    "PretrainingLoss",
    "PromptBuilder",
    "PromptTuning",
    "Query",
    "RankAllocator",
    "Ranking",
    "Retrieval",
    "ScalingLaw",
    "Scoring",
    "SentenceGeneration",
    "StatisticsVerbalizer",
    "Task",
    "TaskBatches",
    "TaskData",
    "TaskSwitch",
    "TitleTrie",
    "TokenFile",
    "Truth",
    "VectorIndex",
    "Weights",
    "adaptation_loss",
    "continue_pretraining",
    "correct_for_sampling",
    "count_parameters",
    "domain_texts",
    "estimate_cost",
    "estimate_memory",
    "fit_law",
    "flops_a_token",
    "in_batch_softmax",
    "kept_bytes",
    "largest_size_that_fits",
    "mean_events_read",
    "measure",
    "multi_task_loss",
    "next_event_documents",
    "packed_prefix_mask",
    "parameter_groups",
    "pretrain",
    "pretraining_corpora",
    "regression_loss",
    "resampled_laws",
    "to_rows",
    "tokens",
    "train_jointly",
    "ways_to_fit",
]
