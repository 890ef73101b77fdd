"""How much of the full cache's prediction is left, policy by policy:  python compare.py [MODEL] [TEXT-FILE]

Reads a text with each policy at a quarter of the cache and compares the prediction of the next token with that of the full cache
(Kullback-Leibler divergence, nat; 0 is the same). Without arguments: a small model with random weights, which only shows how it goes.
"""

import sys

import namm
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

if len(sys.argv) > 2:
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
    with open(sys.argv[2], encoding="utf-8") as file:
        ids = tokenizer(file.read(), return_tensors="pt")["input_ids"][:, :4096]
else:
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(
        LlamaConfig(vocab_size=1000, hidden_size=64, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2)
    )
    ids = torch.randint(3, 1000, (1, 1200))


@torch.no_grad()
def prediction() -> torch.Tensor:
    return torch.log_softmax(model(input_ids=ids, logits_to_keep=1).logits[0, -1].float(), dim=-1)


full = prediction()
for name in ["random", "streaming", "knorm", "h2o-mean", "snapkv", "default"]:
    with namm.attach(model, name, budget=0.25, mode="uniform") as memory:
        pruned = prediction()
    divergence = torch.sum(full.exp() * (full - pruned)).item()
    print(f"{name:12} {divergence:9.5f} nat   {memory.usage().physical_saving:6.1%} of the bytes freed")
