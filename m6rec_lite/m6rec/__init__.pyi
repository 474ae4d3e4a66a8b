from .batches import PretrainingBatches, sight
from .click_model import M6RecCTR, mended
from .config import SIZES, M6RecConfig
from .cost.budget import estimate_cost
from .cost.measured_step import kept_bytes, measure
from .cost.memory import estimate_memory, largest_size_that_fits, ways_to_fit
from .cost.plan import MIXES, Mix, Plan, count_parameters, flops_a_token
from .cost.scaling import ScalingLaw, fit_law, resampled_laws
from .documents import pretraining_corpora
from .framing import Framing
from .infilling import Infilling, SentenceGeneration, to_rows
from .model import M6RecModel
from .new_domain import NewDomain
from .objective import PretrainingLoss
from .pretraining import pretrain
from .retriever import M6RecRetriever
from .run_folder import tokens
from .settings import Pretraining
from .tasks import TASKS
from .tasks.conversation import Conversation
from .tasks.design import Design
from .tasks.explanation import Explanation
from .tasks.joint import Weights, train_jointly
from .tasks.nearest import Nearest
from .tasks.query import Query
from .tasks.ranking import Ranking
from .tasks.retrieval import Retrieval, in_batch_softmax
from .tasks.scoring import Scoring
from .tasks.task import Examples, Task, TaskBatches
from .tasks.together import Together
from .tasks.trie import TitleTrie
from .tasks.truth import Truth
from .tasks.writers import PlainWriter
from .token_file import TokenFile

__all__ = [
    "MIXES",
    "SIZES",
    "TASKS",
    "Conversation",
    "Design",
    "Examples",
    "Explanation",
    "Framing",
    "Infilling",
    "M6RecCTR",
    "M6RecConfig",
    "M6RecModel",
    "M6RecRetriever",
    "Mix",
    "Nearest",
    "NewDomain",
    "PlainWriter",
    "Plan",
    "Pretraining",
    "PretrainingBatches",
    "PretrainingLoss",
    "Query",
    "Ranking",
    "Retrieval",
    "ScalingLaw",
    "Scoring",
    "SentenceGeneration",
    "Task",
    "TaskBatches",
    "TitleTrie",
    "Together",
    "TokenFile",
    "Truth",
    "Weights",
    "count_parameters",
    "estimate_cost",
    "estimate_memory",
    "fit_law",
    "flops_a_token",
    "in_batch_softmax",
    "kept_bytes",
    "largest_size_that_fits",
    "measure",
    "mended",
    "pretrain",
    "pretraining_corpora",
    "resampled_laws",
    "sight",
    "to_rows",
    "tokens",
    "train_jointly",
    "ways_to_fit",
]
