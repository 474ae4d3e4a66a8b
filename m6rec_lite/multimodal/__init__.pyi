from .context import CONTEXT_PARTS, ContextTable
from .cross_attention import CrossAttention
from .fusion import FUSIONS, CrossAttentionFusion, MLPFusion, drop_modalities
from .item_encoder import MODALITIES, ItemEncoder, ItemInputs
from .picture_encoders import CNN, PICTURE_ENCODERS, ViT, pretrained_features
from .pictures import check_pictures, picture_column, to_patches
from .recommender import MultimodalRecommender
from .writer import DecoderBlock, EncoderDecoder

__all__ = [
    "CNN",
    "CONTEXT_PARTS",
    "FUSIONS",
    "MODALITIES",
    "PICTURE_ENCODERS",
    "ContextTable",
    "CrossAttention",
    "CrossAttentionFusion",
    "DecoderBlock",
    "EncoderDecoder",
    "ItemEncoder",
    "ItemInputs",
    "MLPFusion",
    "MultimodalRecommender",
    "ViT",
    "check_pictures",
    "drop_modalities",
    "picture_column",
    "pretrained_features",
    "to_patches",
]
