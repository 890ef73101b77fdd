"""Fits a policy to a model and generates with it:  python calibrate.py [MODEL] [FOLDER]

MODEL is a name or folder that Transformers knows; FOLDER is where the policy is written (probe). Without arguments, a small model
with random weights shows how it goes: it attends to nothing in particular, so that there is little to explain.
"""

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


if len(sys.argv) > 1:
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
    policy = namm.calibrate(model, tokenizer, output=sys.argv[2] if len(sys.argv) > 2 else "probe")  # 60 made-up texts
    inputs = tokenizer("The river runs by the old mill and the stones are grey. " * 200, return_tensors="pt")
else:
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(
        LlamaConfig(vocab_size=256, hidden_size=64, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2)
    )
    policy = namm.calibrate(model, Bytes(), texts=6, lengths=[128], progress=False)
    inputs = {"input_ids": torch.randint(3, 256, (1, 1024))}

print(f"{policy.explained:.0%} of the variance explained; by layer:", *(f"{share:.0%}" for share in policy.explained_by_layer))
with namm.attach(model, policy, budget=0.25) as memory:
    out = model.generate(**inputs, max_new_tokens=64, do_sample=False)
print(f"{out.shape[1]} tokens; {memory.usage()}")
