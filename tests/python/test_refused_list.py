"""The table "What is refused" of docs/python.md: every line happens, with exactly that sentence."""

import re
from pathlib import Path

import namm
import pytest
import torch
import transformers
from conftest import _SMALL, config

READS_STATES = getattr(transformers.DecisionTransformerModel, "_supports_attention_backend", False)


def documented():
    """What is tried -> the sentence, of the table's lines."""
    page = (Path(__file__).parents[2] / "docs/python.md").read_text(encoding="utf-8")
    part = page[page.index("## What is refused") :].split("\n## ", 1)[0]
    lines = [re.fullmatch(r"\| (.+?) \| `(.+)` \|", line) for line in part.splitlines()]
    return {line[1]: line[2] for line in lines if line}


def built(settings):
    return transformers.AutoModelForCausalLM.from_config(settings)


def attaches(settings, policy="h2o"):
    return lambda model, tokens: namm.attach(built(settings), policy, budget=0.25)


def generates(**settings):
    def run(model, tokens):
        with namm.attach(model, "h2o", budget=24, interval=16):
            model.generate(tokens(20), max_new_tokens=5, **settings)

    return run


def reads(**inputs):
    def run(model, tokens):
        with namm.attach(model, "h2o", budget=24, interval=16), torch.no_grad():
            model(input_ids=tokens(6), **inputs)

    return run


def with_cache(use):
    def run(model, tokens):
        with namm.attach(model, "h2o", budget=24, interval=16) as memory, torch.no_grad():
            model(input_ids=tokens(20))
            use(model, memory.cache, memory.shape.cache_argument, tokens)

    return run


def generates_with_assistant(model, tokens):
    generates(assistant_model=model)(model, tokens)


def foreign_cache(model, tokens):
    with_cache(lambda model, cache, name, tokens: model(input_ids=tokens(5), **{name: transformers.DynamicCache()}))(model, tokens)


def outside(model, tokens):
    with namm.attach(model, "h2o", budget=24) as memory:
        cache = memory.new_cache()
    with torch.no_grad():
        model(input_ids=tokens(5), **{memory.shape.cache_argument: cache})


def half_way(model, tokens):
    def fail(*args):
        raise ArithmeticError

    with namm.attach(model, "h2o", budget=24, interval=16) as memory, torch.no_grad():
        cache = memory.new_cache()
        hook = model.model.layers[1].register_forward_hook(fail)
        try:
            model(input_ids=tokens(5), **{memory.shape.cache_argument: cache})
        except ArithmeticError:
            pass
        finally:
            hook.remove()
        model(input_ids=tokens(5), **{memory.shape.cache_argument: cache})


def two_policies(model, tokens):
    with namm.attach(model, "h2o", budget=24), namm.attach(model, "knorm", budget=24):
        pass


def decision_transformer():
    return transformers.DecisionTransformerConfig(state_dim=3, act_dim=2, hidden_size=32, n_layer=2, n_head=4)


def calibrates_decision_transformer(model, tokens):
    namm.calibrate(transformers.DecisionTransformerModel(decision_transformer()), lambda text, **kwargs: {"input_ids": [1]})


T5 = dict(vocab_size=97, d_model=32, d_kv=8, d_ff=32, num_layers=2, num_heads=4)
TRIED = {
    "beam search": generates(num_beams=2),
    "assisted decoding": generates_with_assistant,
    "prompt lookup": generates(prompt_lookup_num_tokens=3),
    "static caches": generates(cache_implementation="static"),
    "offloaded caches": generates(cache_implementation="offloaded"),
    "`torch.compile`": lambda model, tokens: namm.attach(torch.compile(built(config("llama"))), "h2o", budget=0.25),
    "a cache of another kind": foreign_cache,
    "the policy's cache behind the block": outside,
    "a cache whose pass failed": half_way,
    "cutting the cache": with_cache(lambda model, cache, name, tokens: cache.crop(-1)),
    "reordering its rows": with_cache(lambda model, cache, name, tokens: cache.reorder_cache(torch.tensor([0]))),
    "repeating its rows": with_cache(lambda model, cache, name, tokens: cache.batch_repeat_interleave(2)),
    "choosing among its rows": with_cache(lambda model, cache, name, tokens: cache.batch_select_indices(torch.tensor([0]))),
    "another number of rows": with_cache(lambda model, cache, name, tokens: model(input_ids=tokens(1, rows=2), **{name: cache})),
    "`output_attentions`": reads(output_attentions=True),
    "masks of four dimensions": reads(attention_mask=torch.ones((1, 1, 6, 6), dtype=torch.bool)),
    "masks of another length": reads(attention_mask=torch.ones((1, 9), dtype=torch.long)),
    "two policies at once": two_policies,
    "no KV cache": attaches(transformers.MambaConfig(vocab_size=97, hidden_size=32, num_hidden_layers=2, state_size=4)),
    "windows only": attaches(transformers.MistralConfig(**_SMALL, sliding_window=16)),
    "ALiBi": attaches(transformers.BloomConfig(vocab_size=97, hidden_size=32, n_layer=2, n_head=4)),
    "encoders with decoders": lambda model, tokens: namm.attach(
        transformers.T5ForConditionalGeneration(transformers.T5Config(**T5)), "h2o", budget=0.25
    ),
    "cross-attention": attaches(
        transformers.GPT2Config(vocab_size=97, n_embd=32, n_layer=2, n_head=4, n_positions=64, is_decoder=True, add_cross_attention=True)
    ),
    "chunked attention": attaches(
        transformers.Llama4TextConfig(
            **_SMALL, head_dim=8, intermediate_size_mlp=48, num_local_experts=2, attention_chunk_size=16, moe_layers=[], no_rope_layers=[1, 1, 0]
        )
    ),
    "keys shared between layers": attaches(
        transformers.Gemma3nTextConfig(
            vocab_size=97, vocab_size_per_layer_input=97, hidden_size=32, intermediate_size=[48] * 3, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=2, head_dim=8, num_kv_shared_layers=1, hidden_size_per_layer_input=8, laurel_rank=4, altup_num_inputs=2,
            activation_sparsity_pattern=[0.0] * 3, layer_types=["sliding_attention", "full_attention", "full_attention"], pad_token_id=0,
        )
    ),
    "no budget": lambda model, tokens: namm.attach(model, namm.Policy("h2o").with_budget("none")),
    "a share above 1": lambda model, tokens: namm.attach(model, "h2o", budget=25.0),
    "budgets that do not hold the protected tokens": lambda model, tokens: namm.attach(model, "h2o", budget=8),
    "episodes of other models": lambda model, tokens: namm.attach(model, "h2o", budget=24).episode(),
    "fitting a policy to a decision transformer": calibrates_decision_transformer,
}


def test_every_line_is_tried_and_every_trial_is_a_line():
    assert list(documented()) == list(TRIED)


@pytest.mark.parametrize("what", TRIED)
def test_it_is_refused_with_that_sentence(what, make_model, tokens):
    if what == "fitting a policy to a decision transformer" and not READS_STATES:
        pytest.skip("no policy attaches to them in this version")
    model = make_model("llama")
    with pytest.raises((ValueError, RuntimeError, NotImplementedError)) as refused:
        TRIED[what](model, tokens)
    assert str(refused.value) == documented().get(what)
