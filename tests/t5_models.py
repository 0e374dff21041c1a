"""Tiny T5 encoders with random weights, one of each family, saved as real checkpoints are."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from train_dataset import WORDS

SIZE = {"d_model": 48, "d_kv": 16, "d_ff": 64, "num_layers": 3, "num_heads": 2}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "t5 v1.0": ("T5", {"feed_forward_proj": "relu"}),
    "t5 v1.1": ("T5", {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
    "mt5": ("MT5", {}),
    "umt5": ("UMT5", {}),
    "longt5 local": ("LongT5", {"encoder_attention_type": "local", "local_radius": 15}),
    "longt5 global": ("LongT5", {"encoder_attention_type": "transient-global", "local_radius": 15}),
}
PACKED = ("t5 v1.0", "t5 v1.1", "mt5", "umt5")
"""Families that the packed encoder knows."""


def write(folder: Path, family: str, **changes: Any) -> Path:
    """A checkpoint of a family: encoder weights, config, and a tokenizer of words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    name, own = FAMILIES[family]
    vocabulary = {word: i for i, word in enumerate(["<pad>", "</s>", "<unk>", *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    library = importlib.import_module("transformers")
    torch.manual_seed(5)
    settings = SIZE | own | changes | {"vocab_size": len(vocabulary)}
    model = getattr(library, f"{name}EncoderModel")(getattr(library, f"{name}Config")(**settings))
    with torch.no_grad():  # what tells one place from another must weigh
        for at, weight in model.named_parameters():
            if "relative_attention_bias" in at:
                weight.normal_(0, 2)
    model.save_pretrained(folder)
    return folder
