"""Small models with random weights, written by configuration: nothing is downloaded."""

import json
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import namm
import pytest
import torch
import transformers

torch.set_num_threads(1)

BEFORE_5_24 = tuple(int(part) for part in transformers.__version__.split(".")[:2]) < (5, 24)

_SMALL = dict(
    vocab_size=97,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=4096,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=None,
)


def config(name: str) -> "transformers.PreTrainedConfig":
    if name == "llama":
        return transformers.LlamaConfig(**_SMALL)
    if name == "qwen3":
        return transformers.Qwen3Config(**_SMALL, head_dim=16)
    if name == "gemma3":  # two layers of three with a window
        types = ["sliding_attention", "sliding_attention", "full_attention"]
        return transformers.Gemma3TextConfig(**_SMALL, head_dim=16, sliding_window=24, layer_types=types)
    if name == "gemma2":  # windows and soft caps
        types = ["sliding_attention", "full_attention", "full_attention"]
        return transformers.Gemma2Config(**_SMALL, head_dim=16, sliding_window=24, layer_types=types, attn_logit_softcapping=5.0)
    if name == "mixtral":
        return transformers.MixtralConfig(**_SMALL, num_local_experts=4, num_experts_per_tok=2)
    if name == "gpt_oss":  # windows, sinks, experts
        types = ["sliding_attention", "full_attention", "full_attention"]
        return transformers.GptOssConfig(
            **_SMALL, head_dim=16, sliding_window=24, layer_types=types, num_local_experts=4, num_experts_per_tok=2
        )
    if name == "gpt2":
        return transformers.GPT2Config(
            vocab_size=97, n_embd=32, n_layer=3, n_head=4, n_positions=4096, pad_token_id=0, bos_token_id=1, eos_token_id=None
        )
    if name == "jamba":  # one attention layer among Mamba layers
        return transformers.JambaConfig(
            **_SMALL, attn_layer_period=3, attn_layer_offset=1, num_experts=1, num_experts_per_tok=1,
            mamba_d_state=8, mamba_d_conv=4, mamba_expand=2, mamba_dt_rank=8, use_mamba_kernels=False,
        )
    raise ValueError(name)


NAMES = ["llama", "qwen3", "gemma3", "gemma2", "mixtral", "gpt_oss", "gpt2", "jamba"]


@pytest.fixture(scope="session")
def make_model():
    made = {}

    def make(name: str):
        if name == "jamba" and BEFORE_5_24:
            pytest.skip("hybrids have a cache of their own in versions before 5.24 that were tried")
        if name not in made:
            torch.manual_seed(3)
            settings = config(name)
            model = transformers.AutoModelForCausalLM.from_config(settings, attn_implementation="eager").eval()
            with torch.no_grad():
                for parameter in model.parameters():  # attention that is not all the same
                    if parameter.ndim > 1:
                        parameter.mul_(3.0)
            made[name] = model
        return made[name]

    return make


@pytest.fixture(params=["json", "safetensors"])
def in_fewer_bits(request, tmp_path):
    """A file as `namm tune` writes it for a budget in bytes: keys in 8 bits, values in 4."""
    plain, file = tmp_path / "plain.json", tmp_path / f"tuned.{request.param}"
    namm.Policy("default").with_budget("25%").save(str(plain))
    text = {**json.loads(plain.read_text()), "store": "q8_0,q4_0"}
    (tmp_path / "tuned.json").write_text(json.dumps(text))
    if request.param == "safetensors":
        namm.Policy(str(tmp_path / "tuned.json")).save(str(file))
    return str(file)


class Characters:
    """A tokeniser of one token per character, with a token for the beginning (1), as far as calibrate() asks one."""

    bos_token_id, eos_token_id, chat_template = 1, None, None

    def __call__(self, text, add_special_tokens=True, **kwargs):
        return {"input_ids": ([1] if add_special_tokens else []) + [2 + byte % 95 for byte in text.encode()]}

    def decode(self, ids, **kwargs):  # of printable characters
        return "".join(chr(95 + i - 2 if i - 2 < 32 else i - 2) for i in ids if i > 1)


@pytest.fixture
def tokenizer():
    return Characters()


@pytest.fixture
def tokens():
    def draw(length: int, rows: int = 1, seed: int = 0):
        return torch.randint(2, 97, (rows, length), generator=torch.Generator().manual_seed(seed))

    return draw
