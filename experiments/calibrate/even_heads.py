"""What heads that attend evenly to all tokens lose by which tokens they keep.

One long chat of `namm eval --details`, read by a small PyTorch copy of a Llama-like model (weights from the GGUF); nothing is evicted, a
mask hides tokens of the chosen KV heads from question and answer. Needs torch, gguf and tokenizers.

    namm eval --model M.gguf --tasks multi-turn --length 4000 --samples 4 --seed 11 --policy probe/policy.json --details details.jsonl
    python3 even_heads.py M.gguf details.jsonl probe/policy.json --question "..." --answer-start "..." --answer "..."
"""
import argparse
import json

import gguf
import numpy as np
import tokenizers
import torch

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("model")
arguments.add_argument("details")
arguments.add_argument("policy", help="as `namm calibrate` writes it; its recency is not applied")
arguments.add_argument("--prompt", type=int, default=1, help="number of the prompt in the details")
arguments.add_argument("--heads", default="0:0,0:1", help="layer:KV head,...")
arguments.add_argument("--question", default="What does my sister want a picture of for her birthday?")
arguments.add_argument("--answer-start", default="For her birthday your sister wants a picture of the")
arguments.add_argument("--answer", default="cliff")
options = arguments.parse_args()

torch.set_grad_enabled(False)
file = gguf.GGUFReader(options.model)
weights = {t.name: torch.from_numpy(gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32).copy()) for t in file.tensors}
value = lambda name: file.fields[name].contents()
LAYERS, HEADS, KV_HEADS = (value(f"llama.{n}") for n in ("block_count", "attention.head_count", "attention.head_count_kv"))
SIZE, EPSILON = value("llama.rope.dimension_count"), value("llama.attention.layer_norm_rms_epsilon")
FREQUENCIES = 1.0 / value("llama.rope.freq_base") ** (torch.arange(0, SIZE, 2).float() / SIZE)

vocabulary = value("tokenizer.ggml.tokens")
coder = tokenizers.Tokenizer(tokenizers.models.BPE(
    vocab={piece: i for i, piece in enumerate(vocabulary)}, merges=[tuple(m.split(" ")) for m in value("tokenizer.ggml.merges")]))
coder.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([
    tokenizers.pre_tokenizers.Digits(individual_digits=True), tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)])
START, END = vocabulary.index("<|im_start|>"), vocabulary.index("<|im_end|>")
encode = lambda text: coder.encode(text).ids


def norm(x, weight):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + EPSILON) * weight


def rotate(x, positions):
    angle = positions[:, None].float() * FREQUENCIES[None]
    cosine, sine = angle.cos()[:, None], angle.sin()[:, None]
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], -1).flatten(-2)


class Sequence:
    """Keys (before and after rotation) and values of every layer: [token][KV head][size]."""

    def __init__(self):
        empty = torch.zeros(0, KV_HEADS, SIZE)
        self.layers = [(empty, empty, empty)] * LAYERS

    def branch(self):
        other = Sequence()
        other.layers = list(self.layers)
        return other

    def read(self, tokens, kept=None, chunk=512):
        """Log-probabilities [token][vocabulary] of the last chunk. kept: {(layer, KV head): bool [context]}, all others see everything."""
        for begin in range(0, len(tokens), chunk):
            out = self._read(tokens[begin:begin + chunk], kept or {})
        return out

    def _read(self, tokens, kept):
        n, before = len(tokens), len(self.layers[0][0])
        positions = torch.arange(before, before + n)
        x = weights["token_embd.weight"][torch.tensor(tokens)]
        for layer in range(LAYERS):
            of = lambda name: weights[f"blk.{layer}.{name}.weight"]
            h = norm(x, of("attn_norm"))
            query = rotate((h @ of("attn_q").T).view(n, HEADS, SIZE), positions).view(n, KV_HEADS, HEADS // KV_HEADS, SIZE)
            key, val = (h @ of("attn_k").T).view(n, KV_HEADS, SIZE), (h @ of("attn_v").T).view(n, KV_HEADS, SIZE)
            new = (key, rotate(key, positions), val)
            self.layers[layer] = tuple(torch.cat(pair) for pair in zip(self.layers[layer], new))
            _, rotated, values = self.layers[layer]
            logits = torch.einsum("nkgd,mkd->kgnm", query, rotated) / SIZE**0.5
            logits.masked_fill_(torch.arange(before + n)[None] > positions[:, None], -1e30)
            for (at, head), mask in kept.items():
                if at == layer:
                    logits[head][..., : len(mask)].masked_fill_(~mask, -1e30)
            mixed = torch.einsum("kgnm,mkd->nkgd", logits.softmax(-1), values).reshape(n, HEADS * SIZE)
            x = x + mixed @ of("attn_output").T
            h = norm(x, of("ffn_norm"))
            x = x + (torch.nn.functional.silu(h @ of("ffn_gate").T) * (h @ of("ffn_up").T)) @ of("ffn_down").T
        return (norm(x, weights["output_norm.weight"]) @ weights["token_embd.weight"].T).log_softmax(-1)


def scores(policy, sequence, tokens):
    """[layer][KV head][token], before recency."""
    out = []
    for probe in json.load(open(policy))["policy"]["probe"]["layers"]:
        key, _, val = sequence.layers[probe["layer"]]
        x = torch.cat([key[:tokens].flatten(1), val[:tokens].flatten(1)], 1).double()
        read_out = lambda name: torch.tensor(probe[name], dtype=torch.double).view(KV_HEADS, -1)
        z = (x - torch.tensor(probe["square_centre"])) * torch.tensor(probe["square_scale"])
        out.append(x @ read_out("weights")[:, :-1].T + read_out("weights")[:, -1] + (z * z).clamp(max=25) @ read_out("square_weights").T)
    return torch.stack([layer.T for layer in out])


prompts = [record for record in map(json.loads, open(options.details)) if record["record"] == "prompt"]
context = [START] + encode("".join(prompts[options.prompt]["pieces"]))
question = encode("\nUser: " + options.question) + [END] + encode("\n") + [START] + encode("assistant\n" + "\nAssistant: " + options.answer_start)
answer = encode(" " + options.answer)
sequence, n = Sequence(), len(context)
sequence.read(context)

best = scores(options.policy, sequence, n)
always = torch.zeros(n, dtype=torch.bool)
always[:4] = always[-16:] = True
best[:, :, always] = torch.inf
pooled = best >= best.flatten().topk(n * LAYERS * KV_HEADS // 4).values[-1]
heads = [tuple(int(number) for number in name.split(":")) for name in options.heads.split(",")]
count = int(sum(pooled[head].sum() for head in heads)) // len(heads)
generator = torch.Generator().manual_seed(0)
newest = always.clone()
newest[-count:] = True
choices = {
    "all": {},
    "the best of a pooled quarter": {head: pooled[head] for head in heads},
    "4 sinks and the newest 16": {head: always for head in heads},
    "as many at random": {head: always | (torch.rand(n, generator=generator) < count / n) for head in heads},
    "as many of the newest": {head: newest for head in heads},
}


def tail(kept):
    return sequence.branch().read(question + answer, kept)[len(question) - 1:-1]


full = tail({})
right = (torch.arange(len(answer)), torch.tensor(answer))
for name, kept in choices.items():
    other = tail(kept)
    print(json.dumps({"kept": name, "tokens": [int(mask.sum()) for mask in kept.values()],
                      "answer_log_likelihood_delta": float((other - full)[right].mean()),
                      "fidelity_kl": float((full.exp() * (full - other)).sum(-1).mean())}))
