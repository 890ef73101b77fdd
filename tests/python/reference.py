"""A second computation of what attach() does, as simple as it can be: stock attention over everything with a mask that hides
what was dropped, and one Sequence per text."""

from contextlib import contextmanager

import namm
import torch
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

_state = {}


@contextmanager
def masked(model, policy, windows):
    """Within it, step(model, ids) evaluates one row of tokens. windows: layer -> window or 0, of the layers with attention."""
    config = model.config.get_text_config(decoder=True)
    heads = getattr(config, "num_key_value_heads", config.num_attention_heads)
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    layers = [(layer, heads, size, size, window) for layer, window in sorted(windows.items())]
    _state.clear()
    _state.update(policy=policy, windows=windows, heads=heads, size=size, seen=0, keys={}, values={})
    _state["held"] = {(layer, head): torch.zeros(0, dtype=torch.long) for layer in windows for head in range(heads)}
    _state["sequence"] = namm.Sequence(policy, layers, 4.0)
    before = config._attn_implementation
    AttentionInterface.register("reference", _attention)
    AttentionMaskInterface.register("reference", lambda *args, **kwargs: None)
    config._attn_implementation = "reference"
    try:
        yield _state
    finally:
        config._attn_implementation = before


def _attention(module, query, key, value, mask, scaling=None, dropout=0.0, softcap=None, s_aux=None, **kwargs):
    layer, window, heads = module.layer_idx, _state["windows"][module.layer_idx], _state["heads"]
    new, seen, group = query.shape[2], _state["seen"], query.shape[1] // heads
    keys = torch.cat([_state["keys"].get(layer, key[:, :, :0]), key[:, :, -new:]], dim=2)
    values = torch.cat([_state["values"].get(layer, value[:, :, :0]), value[:, :, -new:]], dim=2)
    _state["keys"][layer], _state["values"][layer] = keys, values
    total = keys.shape[2]
    flat = lambda states: states[0].transpose(0, 1).reshape(total, -1)[seen:].contiguous().numpy()
    policy = _state["policy"]
    _state["sequence"].append(
        layer,
        torch.arange(seen, total, dtype=torch.int32).numpy(),
        flat(keys) if policy.reads_keys and not window else None,
        flat(values) if policy.reads_values and not window else None,
    )
    out = torch.zeros(query.shape[1], new, value.shape[-1])
    own = torch.arange(seen, total).unsqueeze(1)
    for head in range(heads):
        held = torch.cat([_state["held"][layer, head], torch.arange(seen, total)])
        _state["held"][layer, head] = held
        mean = 0
        for g in range(group):
            q = query[0, head * group + g].double()
            logits = q @ keys[0, head].double().T * (query.shape[-1] ** -0.5 if scaling is None else scaling)
            if softcap is not None:
                logits = softcap * torch.tanh(logits / softcap)
            hidden = torch.ones(new, total, dtype=torch.bool)
            hidden[:, held] = False
            hidden |= torch.arange(total).unsqueeze(0) > own
            if window:
                hidden |= torch.arange(total).unsqueeze(0) <= own - window
            logits = logits.masked_fill(hidden, float("-inf"))
            if s_aux is not None:
                logits = torch.cat([logits, s_aux[head * group + g].double().expand(new, 1)], dim=1)
            probabilities = torch.softmax(logits, dim=-1)[:, :total]
            out[head * group + g] = (probabilities @ values[0, head].double()).float()
            mean = mean + probabilities[:, held] / group
        if not window:
            _state["sequence"].observe(layer, head, mean.float().contiguous().numpy(), seen)
    return out.transpose(0, 1).unsqueeze(0), None


def step(model, ids=None, **inputs):
    """Logits of the new tokens, behind which an update may come. inputs: what else the model is given, or gets in place of ids."""
    if ids is not None:
        inputs.setdefault("position_ids", torch.arange(_state["seen"], _state["seen"] + ids.shape[1]).unsqueeze(0))
        inputs["input_ids"] = ids
    with torch.no_grad():
        out = model(**inputs, use_cache=False)
    _state["seen"] += (ids if ids is not None else inputs["inputs_embeds"]).shape[1]
    sequence = _state["sequence"]
    if sequence.due:
        sequence.update()
        for (layer, head), held in _state["held"].items():
            if not _state["windows"][layer]:
                _state["held"][layer, head] = held[torch.from_numpy(sequence.kept(layer, head)).long()]
    return out.logits if "logits" in out else out.last_hidden_state
