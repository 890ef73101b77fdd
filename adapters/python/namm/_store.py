"""Keys and values of one layer: a list of any length for every row of the batch and KV head."""

from __future__ import annotations

import torch
from torch import Tensor


class LayerStore:
    """Lists of one layer. As long as they are equally long they lie in one tensor, [rows, KV heads, entries, size]; when they
    differ, each is a tensor of its own, [entries, size], so that what is dropped is really given back."""

    def __init__(self) -> None:
        self.keys: Tensor | None = None
        self.values: Tensor | None = None
        self.lists: list[list[tuple[Tensor, Tensor]]] | None = None  # [row][KV head], in place of the two above

    def append(self, keys: Tensor, values: Tensor, real: Tensor | None) -> None:
        """keys and values [rows, KV heads, new, size]; real [rows, new]: which of the new tokens are no padding, None = all."""
        if real is not None or self.lists is not None:
            lists = self._split(keys.shape[0], keys)
            for row, heads in enumerate(lists):
                chosen = slice(None) if real is None else real[row]
                for head, (old_keys, old_values) in enumerate(heads):
                    heads[head] = (
                        torch.cat([old_keys, keys[row, head, chosen]]),
                        torch.cat([old_values, values[row, head, chosen]]),
                    )
            self._join()
        elif self.keys is None or self.values is None:
            # copied: they may be a view of something larger that would be held with them
            self.keys, self.values = keys.clone(), values.clone()
        else:
            self.keys = torch.cat([self.keys, keys], dim=2)
            self.values = torch.cat([self.values, values], dim=2)

    def keep(self, kept: list[list[Tensor | None]]) -> None:
        """kept [row][KV head]: ascending indices of what stays, None = all. Memory of the others is given back."""
        if all(index is None for heads in kept for index in heads):
            return
        lists = self._split(len(kept), None)
        for row, heads in enumerate(lists):
            for head, (keys, values) in enumerate(heads):
                index = kept[row][head]
                # index_select copies; an untouched list is copied too where it was a part of the common tensor
                heads[head] = (
                    (keys.clone(), values.clone())
                    if index is None
                    else (keys.index_select(0, index.to(keys.device)), values.index_select(0, index.to(keys.device)))
                )
        self._join()

    def leave_window(self, entries: int) -> None:
        """Keeps the newest `entries` of every list."""
        if self.lists is not None:
            for heads in self.lists:
                for head, (keys, values) in enumerate(heads):
                    if keys.shape[0] > entries:
                        first = keys.shape[0] - entries
                        heads[head] = (keys[first:].clone(), values[first:].clone())
        elif self.keys is not None and self.values is not None and self.keys.shape[2] > entries:
            first = self.keys.shape[2] - entries
            self.keys, self.values = self.keys[:, :, first:].clone(), self.values[:, :, first:].clone()

    def head(self, row: int, head: int) -> tuple[Tensor, Tensor]:
        """Keys and values of one list, [entries, size]."""
        if self.lists is not None:
            return self.lists[row][head]
        assert self.keys is not None and self.values is not None
        return self.keys[row, head], self.values[row, head]

    def tensors(self) -> list[Tensor]:
        if self.lists is not None:
            return [tensor for heads in self.lists for pair in heads for tensor in pair]
        return [] if self.keys is None or self.values is None else [self.keys, self.values]

    def entries(self) -> int:
        """Entries of all lists together."""
        if self.lists is not None:
            return sum(keys.shape[0] for heads in self.lists for keys, _ in heads)
        return 0 if self.keys is None else self.keys.shape[0] * self.keys.shape[1] * self.keys.shape[2]

    def bytes(self) -> int:
        """Memory behind the tensors, all that it holds counted and not only what they show."""
        storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in self.tensors()}
        return sum(storages.values())

    def _split(self, rows: int, like: Tensor | None) -> list[list[tuple[Tensor, Tensor]]]:
        if self.lists is None:
            if self.keys is None or self.values is None:
                assert like is not None
                nothing = like.new_empty((0, like.shape[-1]))
                self.lists = [[(nothing, nothing) for _ in range(like.shape[1])] for _ in range(rows)]
            else:
                self.lists = [list(zip(k.unbind(0), v.unbind(0))) for k, v in zip(self.keys, self.values)]
            self.keys = self.values = None
        return self.lists

    def _join(self) -> None:
        """Back to one tensor if all lists are equally long: attention over it is one operation."""
        assert self.lists is not None
        if len({keys.shape[0] for heads in self.lists for keys, _ in heads}) != 1:
            return
        self.keys = torch.stack([torch.stack([keys for keys, _ in heads]) for heads in self.lists])
        self.values = torch.stack([torch.stack([values for _, values in heads]) for heads in self.lists])
        self.lists = None
