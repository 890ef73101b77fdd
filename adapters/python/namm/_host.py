"""A model of Transformers as the core evolves policies on one (host/host.hpp): it reads prompts, under whatever policy."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch

from ._attach import Memory
from ._core import Policy
from ._model import model_name
from ._texts import Tokeniser

PIECE = 512  # tokens of one forward pass


class TransformersHost(Memory):
    """One sequence at a time. Attached within its with block, to whatever policy reset() was given last.

    policy: where the evolution begins; what it reads of keys, its candidates do, too. Raises ValueError and NotImplementedError as
    attach() does.
    """

    def __init__(self, model: Any, tokenizer: Any, policy: Policy, chat_template: bool) -> None:
        super().__init__(model, policy)
        self.require_text()
        tokeniser = Tokeniser(tokenizer)
        self.tokenize, self.detokenize = tokeniser.tokenize, tokeniser.detokenize
        self.turn = tokeniser.turn(chat_template)
        self.ends = _ends(model, tokenizer)
        config = self.shape.config
        self.name = model_name(model)
        self.architecture = self.shape.model_type
        self.all_layers = int(config.num_hidden_layers)
        self.layers = self.shape.layer_tuples()
        self.query_heads = int(config.num_attention_heads)
        self.bytes_per_number = self.shape.bytes_per_number
        self.train_context = int(getattr(config, "max_position_embeddings", 0) or 0)
        self._keeps_logits = "logits_to_keep" in inspect.signature(model.forward).parameters

    def reset(self, policy: Policy) -> None:
        """Forgets the sequence; the next one is read under `policy`, with whatever watches it."""
        self.policy = policy
        self.cache = self.new_cache()

    def evaluate(self, tokens: np.ndarray, every: bool) -> np.ndarray:
        """Reads tokens behind those already there. Gives the logits behind the last one or, with `every`, behind each:
        float32 [1 or tokens, vocabulary]. Raises RuntimeError when the text is longer than the model was made for."""
        assert self.cache is not None
        seen = self.cache.get_seq_length()
        if self.train_context and seen + len(tokens) > self.train_context:
            raise RuntimeError(
                f"prompt: must be within the {self.train_context} tokens that the model was made for, question and answer included, "
                f"has {seen + len(tokens)}; give shorter lengths"
            )
        ids = torch.from_numpy(tokens).long().unsqueeze(0).to(self.model.get_input_embeddings().weight.device)
        keep = {"logits_to_keep": 1} if self._keeps_logits and not every else {}
        rows = []
        for piece in ids.split(self._piece(seen, len(tokens)), dim=1):
            logits = self.model(input_ids=piece, **{self.shape.cache_argument: self.cache}, **keep).logits[0]
            rows.append(logits if every else logits[-1:])
        return torch.cat(rows if every else rows[-1:]).to("cpu", torch.float32).contiguous().numpy()

    def _piece(self, seen: int, new: int) -> int:
        """Recurrent layers of Transformers read a piece with what came before only token by token."""
        if not self.shape.has_recurrent_layers:
            return PIECE
        return new if seen == 0 else 1


def _ends(model: Any, tokenizer: Any) -> list[int]:
    """Tokens that end an answer."""
    configured = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    ends = configured if isinstance(configured, (list, tuple)) else [configured]
    return sorted({int(end) for end in [*ends, getattr(tokenizer, "eos_token_id", None)] if end is not None})
