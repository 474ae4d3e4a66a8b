"""Text for language models: tokenizer, documents, behaviour as text, corpora."""
