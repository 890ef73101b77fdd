"""A cache of Transformers whose layers hold what a policy keeps, per row of the batch and KV head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Iterable

import numpy as np
import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from ._attention import attend
from ._core import Sequence
from ._store import LayerStore

if TYPE_CHECKING:
    from ._model import ModelShape
    from ._core import Policy


@dataclass
class Batch:
    """What is being evaluated now."""

    new: int  # columns
    real: Tensor | None  # [rows, new]: which are no padding, None = all
    before: list[int]  # per row: tokens seen before, without padding


def token_rows(states: Tensor) -> np.ndarray:
    """[KV heads, tokens, size] as the core has it: float32 [tokens][KV heads * size] on the CPU."""
    return states.transpose(0, 1).flatten(1).detach().to("cpu", torch.float32).contiguous().numpy()


class PolicyLayer(CacheLayerMixin):
    """One layer. To Transformers it is as long as the text (positions come from that); it holds less."""

    is_compileable = False
    is_croppable = False

    def __init__(self, cache: "PolicyCache", index: int, window: int) -> None:
        super().__init__()
        self.cache = cache
        self.index = index
        self.window = window
        self.is_sliding = window > 0
        self.store = LayerStore()
        self.columns = 0  # of the batch, padding included

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Takes the new tokens in. What comes back is only them: attention over the lists is attend()'s."""
        self.cache.require_shape(self.index, key_states, value_states)
        batch = self.cache.batch(key_states.shape[0], key_states.shape[2])
        self.store.append(key_states, value_states, batch.real)
        self.cache.note_tokens(self, key_states, value_states, batch)
        self.columns += key_states.shape[2]
        self.is_initialized = True
        return key_states, value_states

    def attend(self, queries: Tensor, **options: Any) -> Tensor:
        """[rows, query heads, new, size]; padding gets zeros. options: of attend()."""
        batch = self.cache.batch(queries.shape[0], queries.shape[2])
        reads = self.cache.reads_rows(self, batch)
        options["window"] = self.window
        if self.store.lists is None and batch.real is None:
            assert self.store.keys is not None and self.store.values is not None
            sink = self.cache.row_sink(self, batch, range(queries.shape[0]), None) if reads else None
            return attend(queries, self.store.keys, self.store.values, rows=sink, **options)
        output = queries.new_zeros((*queries.shape[:3], self.cache.shape.value_size))
        kv_heads = self.cache.shape.kv_heads
        group = queries.shape[1] // kv_heads
        logits_of_sinks = options.pop("sinks", None)
        for row in range(queries.shape[0]):
            chosen: Any = slice(None) if batch.real is None else batch.real[row].nonzero().squeeze(1)
            for head in range(kv_heads):
                heads = slice(head * group, (head + 1) * group)
                own = queries[row, heads][:, chosen]
                if own.shape[1] == 0:
                    continue
                keys, values = self.store.head(row, head)
                sink = self.cache.row_sink(self, batch, [row], head) if reads else None
                of_head = None if logits_of_sinks is None else logits_of_sinks[heads]
                part = attend(own[None], keys[None, None], values[None, None], rows=sink, sinks=of_head, **options)
                output[row, heads, chosen] = part[0]
        return output

    def get_mask_sizes(self, query_length: Any) -> tuple[int, int]:
        new = query_length if isinstance(query_length, int) else query_length.shape[0]
        return self.columns + new, 0

    def get_seq_length(self, *args: Any) -> int:
        return self.columns

    def get_max_length(self) -> int:
        return -1

    def get_max_cache_shape(self) -> int:  # the name of 4.x
        return -1

    def reset(self) -> None:
        self.store = LayerStore()
        self.columns = 0

    def crop(self, *args: Any) -> None:
        raise NotImplementedError(
            "cache: must only grow, was to be cut; what a policy dropped cannot come back: begin a new cache and read the text again"
        )

    def reorder_cache(self, beam_idx: Tensor) -> None:
        raise NotImplementedError("cache: rows must stay in their order, beam search mixes them; use num_beams=1")

    def batch_repeat_interleave(self, repeats: int) -> None:
        raise NotImplementedError("cache: rows must stay as they are, were to be repeated; repeat the inputs instead")

    def batch_select_indices(self, indices: Tensor) -> None:
        raise NotImplementedError("cache: rows must stay as they are, were to be chosen from; begin a new cache")


class PolicyCache(Cache):
    """The cache of one batch of texts. Made by Memory.new_cache(), or by itself where a call has none."""

    def __init__(self, policy: "Policy", shape: "ModelShape") -> None:
        self.policy = policy
        self.shape = shape
        layers: list[Any] = shape.other_layers()
        for index, window in shape.attention_layers.items():
            layers[index] = PolicyLayer(self, index, window)
        super().__init__(layers=layers)
        self.sequences: list[Sequence] = []  # one per row
        self.rotations: dict[int, tuple[Tensor, Tensor]] = {}  # layer -> cos, sin of the batch's positions
        self.peak_entries = self.peak_bytes = self.peak_statistics_bytes = 0
        self._batch: Batch | None = None
        self._mask: Tensor | None = None
        self._open = False

    # -- a batch on its way through the layers --------------------------------------------------------------------------------

    def begin(self, real: Tensor | None) -> None:
        """A forward pass begins. real [rows, new]: no padding; None = all."""
        if self._open:
            raise RuntimeError("cache: its last forward pass must have come to its end, it failed half way; begin a new cache")
        self._open = True
        self._batch = None
        self._mask = real

    def end(self) -> None:
        """The last layer is through: whoever crossed a multiple of the interval is updated."""
        self.measure()
        for layer in self.policy_layers():
            if layer.window:
                layer.store.leave_window(layer.window - 1)  # what the next token will still see
        due = [row for row, sequence in enumerate(self.sequences) if sequence.due]
        if due:
            self.decide(due)
        self._batch = self._mask = None
        self.rotations.clear()
        self._open = False

    def batch(self, rows: int, new: int) -> Batch:
        if self._batch is None:
            if not self._open:
                raise RuntimeError("cache: belongs to namm.attach, is used outside of it; use it within the with block")
            if not self.sequences:
                tuples = self.shape.layer_tuples()
                self.sequences = [Sequence(self.policy, tuples, self.shape.bytes_per_number) for _ in range(rows)]
            if len(self.sequences) != rows:
                raise ValueError(f"batch: must have the {len(self.sequences)} rows that the cache began with, has {rows}")
            self._batch = Batch(new, self._mask, [sequence.tokens_seen for sequence in self.sequences])
        return self._batch

    def require_shape(self, index: int, keys: Tensor, values: Tensor) -> None:
        shape = self.shape
        if (keys.shape[1], keys.shape[3], values.shape[3]) != (shape.kv_heads, shape.key_size, shape.value_size):
            raise ValueError(
                f"layer {index}: must have {shape.kv_heads} KV heads with keys of {shape.key_size} and values of {shape.value_size} "
                f"numbers, as the configuration says, has {keys.shape[1]}, {keys.shape[3]} and {values.shape[3]}; "
                "no policy attaches to this model"
            )

    def note_tokens(self, layer: PolicyLayer, keys: Tensor, values: Tensor, batch: Batch) -> None:
        """Tells the policy of the new tokens of a layer."""
        decides = not layer.window
        plain = keys
        if decides and self.policy.reads_plain_keys:
            plain = self.shape.plain_keys(keys, self.rotations.get(layer.index))
        for row, sequence in enumerate(self.sequences):
            chosen = slice(None) if batch.real is None else batch.real[row]

            def rows(states: Tensor) -> np.ndarray:
                return token_rows(states[row][:, chosen])

            count = batch.new if batch.real is None else int(batch.real[row].sum())
            positions = np.arange(batch.before[row], batch.before[row] + count, dtype=np.int32)
            sequence.append(
                layer.index,
                positions,
                rows(plain) if decides and self.policy.reads_keys else None,
                rows(values) if decides and self.policy.reads_values else None,
            )

    def reads_rows(self, layer: PolicyLayer, batch: Batch) -> bool:
        """Whether attention of this batch is wanted, beside what comes of it."""
        return self.policy.reads_attention and not layer.window

    def row_sink(self, layer: PolicyLayer, batch: Batch, rows: Any, head: int | None) -> Any:
        """Takes attention of these rows of the batch, of one KV head or of all."""

        def take(first: int, mean: Tensor) -> None:
            on_cpu = mean.detach().to("cpu", torch.float32).contiguous().numpy()
            for i, row in enumerate(rows):
                for h in range(on_cpu.shape[1]):
                    self.sequences[row].observe(layer.index, h if head is None else head, on_cpu[i, h], batch.before[row] + first)

        return take

    # -- updates and what is held ----------------------------------------------------------------------------------------------

    def policy_layers(self) -> list[PolicyLayer]:
        return [layer for layer in self.layers if isinstance(layer, PolicyLayer)]

    def decide(self, rows: Iterable[int] | None = None) -> None:
        """Lets the policy decide about these rows of the batch now (None: about all), and gives back what it drops."""
        due = list(range(len(self.sequences)) if rows is None else rows)
        for row in due:
            self.sequences[row].update()
        for layer in self.policy_layers():
            if layer.window:
                continue
            kept: list[list[Tensor | None]] = [[None] * self.shape.kv_heads for _ in self.sequences]
            for row in due:
                for head in range(self.shape.kv_heads):
                    index = self.sequences[row].kept(layer.index, head)
                    if len(index) < layer.store.head(row, head)[0].shape[0]:
                        kept[row][head] = torch.from_numpy(index).long()
            layer.store.keep(kept)

    def policy_layer(self, index: int) -> PolicyLayer:
        layer = self.layers[index] if 0 <= index < len(self.layers) else None
        if not isinstance(layer, PolicyLayer):
            raise ValueError(f"layer: must be one with attention, is {index}")
        return layer

    def measure(self) -> dict[str, int]:
        layers = self.policy_layers()
        now = {
            "entries": sum(layer.store.entries() for layer in layers),
            "kv_bytes": sum(layer.store.bytes() for layer in layers),
            "statistics_bytes": sum(sequence.usage()["statistics_bytes"] for sequence in self.sequences),
        }
        self.peak_entries = max(self.peak_entries, now["entries"])
        self.peak_bytes = max(self.peak_bytes, now["kv_bytes"])
        self.peak_statistics_bytes = max(self.peak_statistics_bytes, now["statistics_bytes"])
        return now

    def reset(self) -> None:
        super().reset()
        self.sequences = []
        self._open = False
