"""A Llama written by hand that answers with the digits it still holds: what a memory keeps decides how likely the answer is."""

import random

import namm
import torch
import transformers
from conftest import Characters

_WIDTH, _SIZE, _DIGITS = 128, 16, 100  # of the hidden state, of a head, where the digits held stand in the hidden state
WORDS = "the quick brown fox jumps over a lazy dog while seven grey birds watch from an old stone wall beside the river".split()


def recalling_model():
    """One layer of two KV heads. Every query looks for digits alone; a digit's value is the digit, and what is read is said."""
    settings = transformers.LlamaConfig(
        vocab_size=97, hidden_size=_WIDTH, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
        head_dim=_SIZE, max_position_embeddings=4096, pad_token_id=0, bos_token_id=1, eos_token_id=None, tie_word_embeddings=False,
    )  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(settings, attn_implementation="eager").eval()
    digits = Characters()("0123456789", False)["input_ids"]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if "norm" in name else 0.0)
        model.model.embed_tokens.weight[:, :97] = torch.eye(97)
        attention = model.model.layers[0].self_attn
        for head in range(2):
            last = head * _SIZE + _SIZE - 1  # where rotary embedding hardly turns
            attention.q_proj.weight[last, :97] = 0.47
            attention.k_proj.weight[last, digits] = 0.47
            for digit, token in enumerate(digits):
                attention.v_proj.weight[head * _SIZE + digit, token] = 1
                attention.o_proj.weight[_DIGITS + digit, head * _SIZE + digit] = 0.5
        for digit, token in enumerate(digits):
            model.lm_head.weight[token, _DIGITS + digit] = 1
    return model


def recall_prompts(count, seed, words=50):
    """A number somewhere in a text without others, and what it was."""
    draw = random.Random(seed)
    out = []
    for _ in range(count):
        text = draw.choices(WORDS, k=words)
        number = str(draw.randint(10000, 99999))
        text.insert(draw.randint(2, words // 2), f"keep {number} in mind")
        out.append({"context": " ".join(text), "question": "\n\nwhich number was it?", "answer_prefix": " it was", "answers": [number]})
    return out


@torch.no_grad()
def answer_likelihood(model, policy, prompt, **options):
    """Mean log-probability of the answer's tokens in double, and what was held: a fitness computed without the core."""
    tokenizer = Characters()
    with namm.attach(model, policy, **options) as memory:
        cache = memory.new_cache()

        def read(text, special=False):
            ids = torch.tensor([tokenizer(text, special)["input_ids"]])
            return model(input_ids=ids, **{memory.shape.cache_argument: cache}).logits[0].double(), ids[0]

        read(prompt["context"], True)
        memory.update()
        before = read(prompt["question"] + prompt["answer_prefix"])[0][-1:]
        logits, answer = read(" " + prompt["answers"][0])
        logits = torch.cat([before, logits[:-1]])
        nats = torch.log_softmax(logits, dim=-1)[torch.arange(len(answer)), answer]
        return nats.mean().item(), memory.usage()
