"""Generates with a quarter of the KV cache:  python generate.py [MODEL] [POLICY]

MODEL is a name or folder that Transformers knows; without one, a small model with random weights shows how it goes.
"""

import sys

import namm
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

if len(sys.argv) > 1:
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
    inputs = tokenizer("The river runs by the old mill and the stones are grey. " * 200, return_tensors="pt")
else:
    model = AutoModelForCausalLM.from_config(
        LlamaConfig(vocab_size=1000, hidden_size=64, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2)
    )
    inputs = {"input_ids": torch.randint(3, 1000, (1, 2048))}

policy = sys.argv[2] if len(sys.argv) > 2 else "default"
with namm.attach(model, policy, budget=0.25) as memory:
    out = model.generate(**inputs, max_new_tokens=64, do_sample=False)

print(memory.usage())
print(f"{out.shape[1]} tokens; head 0 of layer 0 still holds", memory.positions(0, 0)[:8], "...")
