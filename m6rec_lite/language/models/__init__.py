"""GPT, BERT and models of ``transformers``: loading, pretraining, features of texts."""
