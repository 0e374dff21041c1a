"""Captions of real lengths, each different, and a tokenizer for T5 weights that have none.

Every word is one token, so a caption is as long as it was drawn. Without a tokenizer of the user's
own the words are those of CLIP's vocabulary: then CLIP too sees real lengths.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from curate.bench.result import Captions
from curate.errors import ModelError
from curate.models.caption_packs import MAX_TOKENS

SPECIAL: Final = ("<pad>", "</s>", "<unk>")
SHORTEST: Final = 3
ALT_TEXT: Final = (2.5, 0.65)  # of the logarithm; their mean is 15 tokens
LLAVA: Final = (90.0, 20.0)
DRAWS: Final = 50
_WORD: Final = re.compile(r"[a-z]{2,}")


def token_counts(kind: Captions, count: int, seed: int) -> NDArray[np.int64]:
    """How many tokens each caption has, </s> included: `alt` texts, or a captioning model's."""
    rng = np.random.default_rng(seed)
    drawn = rng.lognormal(*ALT_TEXT, count) if kind == "alt" else rng.normal(*LLAVA, count)
    return np.clip(np.rint(drawn), SHORTEST, MAX_TOKENS).astype(np.int64)


def captions(words: Sequence[str], counts: NDArray[np.int64], seed: int) -> list[str]:
    """One caption a count, of `count - 1` words, no two alike.

    Raises ModelError if there are too few words for that many different captions.
    """
    rng = np.random.default_rng(seed)
    vocabulary = np.asarray(words, dtype=object)
    texts = [""] * len(counts)
    seen: set[str] = set()
    todo = np.arange(len(counts))
    for _ in range(DRAWS):
        lengths = counts[todo] - 1
        drawn = vocabulary[rng.integers(0, len(vocabulary), int(lengths.sum()))]
        ends = np.cumsum(lengths)
        again: list[int] = []
        for row, end, length in zip(todo.tolist(), ends.tolist(), lengths.tolist(), strict=True):
            text = " ".join(drawn[end - length : end])
            if text in seen:
                again.append(row)
            seen.add(text)
            texts[row] = text
        if not again:
            return texts
        todo = np.asarray(again, np.int64)
    raise ModelError(
        f"{len(words)} words make no {len(counts)} different captions: ask for fewer rows"
    )


def clip_words() -> list[str]:
    """The English words that are one token of CLIP's own tokenizer, common ones first."""
    from open_clip.tokenizer import SimpleTokenizer

    pieces = (piece for piece in SimpleTokenizer().encoder if piece.endswith("</w>"))
    words = (piece.removesuffix("</w>") for piece in pieces)
    return [word for word in words if _WORD.fullmatch(word)]


def own_words(tokenizer: Any, name: str) -> list[str]:
    """The words that are one token of a T5 tokenizer; raises ModelError if there are hardly any."""
    marks = {piece.lstrip("▁").removesuffix("</w>") for piece in tokenizer.get_vocab()}
    words = sorted(word for word in marks if _WORD.fullmatch(word))
    closing = len(tokenizer("")["input_ids"])
    told = tokenizer(words)["input_ids"] if words else []
    single = [word for word, ids in zip(words, told, strict=True) if len(ids) == 1 + closing]
    if len(single) < 32:
        raise ModelError(f"model {name!r}: its tokenizer has only {len(single)} whole words")
    return single


def write_tokenizer(folder: Path, *, size: int) -> None:
    """Write a T5 tokenizer of at most `size` tokens: words of CLIP's vocabulary, </s> at the end."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    names = [*SPECIAL, *random_model_words(size)]
    pad, end, unknown = SPECIAL
    tokenizer = Tokenizer(
        models.WordLevel({name: at for at, name in enumerate(names)}, unk_token=unknown)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, names.index(end))]
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "backend": "tokenizers", "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": pad, "eos_token": end, "unk_token": unknown, "model_max_length": 512,
    }  # fmt: skip
    text = json.dumps(config, indent=1, sort_keys=True) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")


def random_model_words(size: int) -> list[str]:
    """The words of `write_tokenizer` for a vocabulary of `size` tokens."""
    return clip_words()[: size - len(SPECIAL)]
