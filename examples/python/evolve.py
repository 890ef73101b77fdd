"""Evolves a policy on texts of your own:  python evolve.py [MODEL TEXT-FILE [FOLDER]]

MODEL is a name or folder that Transformers knows, TEXT-FILE a plain text: three fifths of it train, one decides which policy is kept.
FOLDER is where the run is written (run); called again, it goes on there. Without arguments, a small model with random weights shows
how it goes: what it predicts depends on nothing in particular, so that there is little to gain.
"""

import os
import sys

import namm
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig


class Bytes:
    """Stands for a tokeniser where there is no model to read one from."""

    bos_token_id = eos_token_id = chat_template = None

    def __call__(self, text, **kwargs):
        return {"input_ids": list(text.encode())}

    def decode(self, ids, **kwargs):
        return bytes(ids).decode(errors="replace")


if len(sys.argv) > 2:
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
    run = sys.argv[3] if len(sys.argv) > 3 else "run"
    goes_on = os.path.exists(os.path.join(run, "checkpoint.json"))
    policy = namm.evolve(model, tokenizer, output=run, data=sys.argv[2], budget=0.25, interval=128, generations=20, resume=goes_on)
else:
    torch.manual_seed(1)
    tokenizer = Bytes()
    model = AutoModelForCausalLM.from_config(
        LlamaConfig(vocab_size=256, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
    )
    text = "The river runs by the old mill and the stones are grey; nobody has seen the miller since the bridge was closed. " * 20
    policy = namm.evolve(
        model, tokenizer, data=[text], lengths=[192], budget=0.25, interval=64, sinks=2, recent=8,
        generations=3, population=4, prompts=2, validation=2, validate_every=1, progress=False,
    )  # fmt: skip

for line in policy.history:
    best = f"best {line['fitness']['best']:+.4f}, " if "fitness" in line else ""
    print(f"generation {line.get('generation')}: {best}kept {line['best_validation']:+.4f} nat per token against the full cache")
print(f"validation {policy.validation:+.4f}, at the start {policy.start_validation:+.4f}; parameters {policy.parameters.round(2)}")
