"""What cannot work is refused with a sentence, and leaves the model as it was."""

import namm
import pytest
import torch
import transformers
from conftest import _SMALL, BEFORE_5_24


def test_budgets(make_model):
    model = make_model("llama")
    with pytest.raises(ValueError, match="must have a budget"):
        namm.attach(model, namm.Policy("h2o").with_budget("none"))
    with pytest.raises(ValueError, match="share"):
        namm.attach(model, "h2o", budget=25.0)
    with pytest.raises(ValueError, match="protected tokens"):
        namm.attach(model, "h2o", budget=8)
    with pytest.raises(ValueError, match="budget"):
        namm.attach(model, "h2o", budget=True)


@pytest.mark.parametrize(
    "settings, reason",
    [
        (dict(num_beams=2), "beam search"),
        (dict(cache_implementation="static"), "static"),
        (dict(cache_implementation="offloaded"), "offloaded"),
        (dict(prompt_lookup_num_tokens=3), "assisted"),
    ],
)
def test_generation_modes(settings, reason, make_model, tokens):
    model = make_model("llama")
    with namm.attach(model, "h2o", budget=24, interval=16), pytest.raises(NotImplementedError, match=reason):
        model.generate(tokens(20), max_new_tokens=5, **settings)
    model.generate(tokens(20), max_new_tokens=5, **{key: value for key, value in settings.items() if key == "num_beams"})  # free again


def test_caches_of_others(make_model, tokens):
    model = make_model("llama")
    with namm.attach(model, "h2o", budget=24, interval=16) as memory, torch.no_grad():
        name = memory.shape.cache_argument
        with pytest.raises(ValueError, match="policy's own"):
            model(input_ids=tokens(5), **{name: transformers.DynamicCache()})
        with pytest.raises(ValueError, match="policy's own"):
            model.generate(tokens(5), max_new_tokens=2, **{name: transformers.DynamicCache()})
        model(input_ids=tokens(40))
        with pytest.raises(NotImplementedError, match="only grow"):
            memory.cache.crop(-1)
        with pytest.raises(NotImplementedError, match="beam"):
            memory.cache.reorder_cache(torch.tensor([0]))
        with pytest.raises(ValueError, match="rows"):
            model(input_ids=tokens(1, rows=2), **{name: memory.cache})
    with pytest.raises((RuntimeError, AttributeError)):  # a stock forward with our cache, outside of the block
        model(input_ids=tokens(1), **{name: memory.new_cache()})


def test_masks_and_probabilities(make_model, tokens):
    model = make_model("llama")
    with namm.attach(model, "h2o", budget=24, interval=16), torch.no_grad():
        with pytest.raises(NotImplementedError, match="attention_mask"):
            model(input_ids=tokens(6), attention_mask=torch.ones((1, 1, 6, 6), dtype=torch.bool))
        with pytest.raises(ValueError, match="column"):
            model(input_ids=tokens(6), attention_mask=torch.ones((1, 9), dtype=torch.long))
        with pytest.raises(NotImplementedError, match="output_attentions"):
            model(input_ids=tokens(6), output_attentions=True)


def test_a_pass_that_failed_ends_its_cache(make_model, tokens):
    model = make_model("llama")
    with namm.attach(model, "h2o", budget=24, interval=16) as memory, torch.no_grad():
        cache = memory.new_cache()
        hook = model.model.layers[1].register_forward_hook(lambda *args: (_ for _ in ()).throw(RuntimeError("on purpose")))
        with pytest.raises(RuntimeError, match="on purpose"):
            model(input_ids=tokens(5), **{memory.shape.cache_argument: cache})
        hook.remove()
        assert model.config._attn_implementation == "eager"
        with pytest.raises(RuntimeError, match="half way"):
            model(input_ids=tokens(5), **{memory.shape.cache_argument: cache})
        model(input_ids=tokens(5))  # a new one works


def test_one_policy_at_a_time_and_none_behind_the_block(make_model, tokens):
    model = make_model("llama")
    with namm.attach(model, "h2o", budget=24):
        with pytest.raises(ValueError, match="one policy at a time"):
            with namm.attach(model, "knorm", budget=24):
                pass
    assert "forward" not in model.__dict__
    with torch.no_grad():
        assert isinstance(model(input_ids=tokens(5), use_cache=True).get(namm.attach(model, "full").shape.cache_argument), transformers.DynamicCache)


def test_what_somebody_else_put_on_the_model_comes_back(make_model, tokens):
    model = make_model("llama")
    stock, seen = model.forward, []

    def hooked(*args, **kwargs):
        seen.append(True)
        return stock(*args, **kwargs)

    model.forward = hooked  # as Accelerate does
    try:
        with namm.attach(model, "h2o", budget=24, interval=16), torch.no_grad():
            model(input_ids=tokens(5))
        assert seen and model.__dict__["forward"] is hooked
    finally:
        del model.forward


def test_a_model_without_a_head_is_read(make_model, tokens):
    model = make_model("llama").model
    with namm.attach(model, "h2o", budget=24, interval=16) as memory, torch.no_grad():
        assert model(input_ids=tokens(60)).last_hidden_state.shape[1] == 60
        assert memory.usage().entries < memory.usage().entries_full


def test_rotations_of_neighbours_are_seen_in_the_model_s_own_file(make_model, monkeypatch):
    import transformers.models.llama.modeling_llama as file

    shape = namm.attach(make_model("llama"), "full").shape
    shape.require_plain_keys()
    monkeypatch.setattr(file, "rotate_half", lambda x: torch.stack((-x[..., 1::2], x[..., ::2]), dim=-1).flatten(-2))
    with pytest.raises(NotImplementedError, match="neighbouring"):
        shape.require_plain_keys()


def test_a_failed_pass_holds_no_cache(make_model, tokens):
    from namm import _attach

    model = make_model("llama")
    with namm.attach(model, "h2o", budget=24) as memory, torch.no_grad():
        cache = memory.new_cache()
        cache.begin = lambda real: (_ for _ in ()).throw(RuntimeError("on purpose"))
        with pytest.raises(RuntimeError, match="on purpose"):
            model(input_ids=tokens(5), **{memory.shape.cache_argument: cache})
    assert _attach._current.get() is None


def build(settings):
    return transformers.AutoModelForCausalLM.from_config(settings)


@pytest.mark.parametrize(
    "make, reason",
    [
        (lambda: build(transformers.MambaConfig(vocab_size=97, hidden_size=32, num_hidden_layers=2, state_size=4)), "KV cache"),
        (lambda: build(transformers.MistralConfig(**_SMALL, sliding_window=16)), "nothing to free"),
        (lambda: build(transformers.BloomConfig(vocab_size=97, hidden_size=32, n_layer=2, n_head=4)), "ALiBi"),
        (lambda: torch.compile(build(transformers.LlamaConfig(**_SMALL))), "compiled"),
        (
            lambda: transformers.T5ForConditionalGeneration(
                transformers.T5Config(vocab_size=97, d_model=32, d_kv=8, d_ff=32, num_layers=2, num_heads=4)
            ),
            "encoder",
        ),
    ],
    ids=["mamba", "mistral", "bloom", "compiled", "t5"],
)
def test_models(make, reason):
    with pytest.raises(NotImplementedError, match=reason):
        namm.attach(make(), "h2o", budget=0.25)


@pytest.mark.skipif(not BEFORE_5_24, reason="of Transformers before 5.24")
def test_hybrids_of_older_versions():
    from conftest import config

    with pytest.raises(NotImplementedError, match="5.24"):
        namm.attach(build(config("jamba")), "h2o", budget=0.25)
