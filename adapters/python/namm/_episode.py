"""An episode of a decision transformer, three tokens per step, over a cache that a policy holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ._kinds import kept_shares

if TYPE_CHECKING:
    from ._attach import Memory

KINDS = ("return", "state", "action")  # of a step's tokens, in their order


class Episode:
    """One rollout of a `DecisionTransformerModel` (Chen et al., arXiv 2106.01345) within `with namm.attach(model, ...) as memory:`.

        episode = memory.episode()
        action = episode.act(return_to_go, state)           # [rows, action size]
        ...                                                 # the environment takes it
        action = episode.act(return_to_go, state, taken=action)

    The model's own forward() has no cache and reads the last steps anew for every action. Here a step is read once: the action
    that was taken, then return and state; so an action depends on all of the episode that the policy kept. Where a token stands in
    the episode is known from its time step, which the model adds to it: dropped tokens move nothing.
    """

    def __init__(self, memory: "Memory") -> None:
        self.memory = memory
        self.cache = memory.new_cache()
        self.steps = 0  # states read
        self._model: Any = memory.whole_model  # memory.model is the GPT-2 within it
        self._pending: Tensor | None = None  # the action of the newest step, which has not been read yet
        self._longest = int(self._model.config.max_ep_len)

    def act(self, return_to_go: Any, state: Any, taken: Any = None) -> Tensor:
        """The action for a new state, [rows, action size].

        return_to_go: reward that is still wanted, [rows] or a number, scaled as in training. state: [rows, state size], or [state
        size] for one row, normalised as in training. taken: the action that was done in the step before, [rows, action size], if it
        is another one than act() gave (clipped, or with noise).
        Raises ValueError for wrong shapes and behind the last time step that the model knows.
        """
        if self.steps == self._longest:
            raise ValueError(f"episode: must have at most the {self._longest} steps of max_ep_len, which are through; begin a new one")
        device, dtype = self.memory.model.device, self.memory.model.dtype
        state = torch.as_tensor(state, dtype=dtype, device=device)
        state = self._rows("state", state.unsqueeze(0) if state.ndim == 1 else state, int(self._model.config.state_dim))
        wanted = torch.as_tensor(return_to_go, dtype=dtype, device=device).reshape(-1, 1)
        if wanted.shape[0] not in (1, state.shape[0]):
            raise ValueError(f"return_to_go: must be a number, or one for each of the {state.shape[0]} rows, is {wanted.shape[0]} numbers")
        new = [
            self._token(self._model.embed_return(wanted.expand(state.shape[0], 1)), self.steps),
            self._token(self._model.embed_state(state), self.steps),
        ]
        if self._pending is not None:
            new.insert(0, self._action_token(taken, state.shape[0]))
        elif taken is not None:
            raise ValueError("taken: must be left out in the first step, before which nothing was done")
        tokens = self._model.embed_ln(torch.stack(new, dim=1))
        positions = torch.zeros(tokens.shape[:2], dtype=torch.long, device=device)  # as the model's forward() has them
        inputs = {"inputs_embeds": tokens, "position_ids": positions, self.memory.shape.cache_argument: self.cache}
        with torch.no_grad():
            hidden = self.memory.model(use_cache=True, **inputs).last_hidden_state
            self._pending = self._model.predict_action(hidden[:, -1])
        self.steps += 1
        return self._pending

    def kept_shares(self, row: int = 0) -> dict[str, float]:
        """Share of the returns, states and actions read so far that are still held, over all layers and KV heads."""
        if not self.cache.sequences:
            raise ValueError("episode: must have begun, has no step yet; call act() first")
        kind = torch.arange(self.cache.sequences[row].tokens_seen) % len(KINDS)
        return kept_shares(self.cache, {name: kind == i for i, name in enumerate(KINDS)}, row)

    def _action_token(self, taken: Any, rows: int) -> Tensor:
        assert self._pending is not None
        action = self._pending
        if taken is not None:
            action = torch.as_tensor(taken, dtype=action.dtype, device=action.device)
            action = action.unsqueeze(0) if action.ndim == 1 else action
        action = self._rows("taken", action, int(self._model.config.act_dim))
        if action.shape[0] != rows:
            raise ValueError(f"state: must have the {action.shape[0]} rows that the episode began with, has {rows}")
        return self._token(self._model.embed_action(action), self.steps - 1)

    def _token(self, embedded: Tensor, step: int) -> Tensor:
        time = torch.full((embedded.shape[0],), step, dtype=torch.long, device=embedded.device)
        return embedded + self._model.embed_timestep(time)

    @staticmethod
    def _rows(name: str, values: Tensor, size: int) -> Tensor:
        if values.ndim != 2 or values.shape[1] != size:
            raise ValueError(f"{name}: must be [rows, {size}], is {list(values.shape)}")
        return values
