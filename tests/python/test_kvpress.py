"""Our policies as presses of kvpress. Skipped where kvpress is missing, which needs an older Transformers."""

import copy
import warnings

import namm
import pytest
import torch
import transformers
from conftest import _SMALL

kvpress = pytest.importorskip("kvpress")
from namm.kvpress import NAMMPress  # noqa: E402

HEADS = [(layer, head) for layer in range(3) for head in range(2)]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    model = transformers.AutoModelForCausalLM.from_config(transformers.Qwen3Config(**_SMALL, head_dim=16), attn_implementation="sdpa").eval()
    for parameter in model.parameters():  # attention that is not all the same
        if parameter.ndim > 1:
            parameter.data.mul_(3.0)
    return model


def compressed(model, press, ids):
    cache = transformers.DynamicCache()
    with torch.no_grad(), press(model):
        hidden = model.model(input_ids=ids, past_key_values=cache).last_hidden_state
    return cache, hidden


def later(model, cache, ids, first):
    """Logits of tokens behind the context, at their places in the text. One at a time: kvpress's fake keys hide the less, the more
    queries one key has to be far from."""
    with torch.no_grad():
        places = [torch.tensor([[first + i]]) for i in range(ids.shape[1])]
        return torch.cat([model(input_ids=ids[:, i : i + 1], past_key_values=cache, position_ids=at).logits for i, at in enumerate(places)], dim=1)


@pytest.mark.parametrize("policy", ["h2o-mean", "snapkv", "default", "streaming", "random"])
@pytest.mark.parametrize("mode", ["uniform", "pooled"])
def test_a_press_keeps_what_the_adapter_keeps(policy, mode, model, tokens):
    ids, question = tokens(200), tokens(9, seed=1)
    press = NAMMPress(policy, compression_ratio=0.75, mode=mode)
    cache, hidden = compressed(model, press, ids)
    got = later(model, cache, question, 200)
    with namm.attach(model, policy, budget=0.25, mode=mode, interval=1 << 20) as memory, torch.no_grad():
        expected_hidden = model(input_ids=ids, output_hidden_states=True).hidden_states[-1]
        memory.update()  # once, behind the context
        kept = {key: memory.positions(*key) for key in HEADS}
        expected = model(input_ids=question, **{memory.shape.cache_argument: memory.cache}).logits
    assert {key: press.positions(*key) for key in HEADS} == kept
    assert sum(map(len, kept.values())) == 200 * 6 // 4
    torch.testing.assert_close(hidden, expected_hidden, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())
    assert not torch.allclose(got, later(model, compressed(model, NAMMPress(policy), ids)[0], question, 200), atol=1e-2)
    lengths = {len(one) for one in kept.values()}
    assert len(lengths) == 1 if mode == "uniform" or policy == "streaming" else len(lengths) > 1


def test_uniform_is_freed_and_pooled_is_hidden(model, tokens):
    for mode, entries in (("uniform", 50), ("pooled", 200)):
        cache, _ = compressed(model, NAMMPress("h2o-mean", compression_ratio=0.75, mode=mode), tokens(200))
        for layer in cache.layers:
            assert layer.keys.untyped_storage().nbytes() == layer.values.untyped_storage().nbytes() == entries * 2 * 16 * 4


def test_the_model_is_as_before(model, tokens):
    ids = tokens(100)
    with torch.no_grad():
        expected = model(input_ids=ids).logits
        with pytest.raises(ValueError, match="on purpose"), NAMMPress("h2o", compression_ratio=0.5)(model):
            raise ValueError("on purpose")
        compressed(model, NAMMPress("h2o", compression_ratio=0.5, mode="pooled"), ids)
        assert torch.equal(model(input_ids=ids).logits, expected)
    assert model.config._attn_implementation == "sdpa"


def test_a_calibrated_policy(model, tokens, tokenizer):
    policy = namm.calibrate(model, tokenizer, texts=4, lengths=[96], progress=False)
    press = NAMMPress(policy, compression_ratio=0.5)
    compressed(model, press, tokens(120))
    with namm.attach(model, policy, budget=0.5, interval=1 << 20) as memory, torch.no_grad():
        model(input_ids=tokens(120))
        memory.update()
        assert all(press.positions(*key) == memory.positions(*key) for key in HEADS)


def test_the_pipeline_takes_it(model, tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {"pad": 0, "unk": 1, "begin": 2, **{f"w{i}": i for i in range(3, 97)}}
    split = Tokenizer(models.WordLevel(words, unk_token="unk"))
    split.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=split, pad_token="pad", unk_token="unk", bos_token="begin")
    ask = transformers.pipeline("kv-press-text-generation", model=model, tokenizer=tokenizer)
    context, question = " ".join(f"w{i * 7 % 90 + 3}" for i in range(149)), "w5 w9"
    press = copy.deepcopy(NAMMPress("h2o-mean", mode="uniform"))  # as evaluations do, and set its ratio afterwards
    press.compression_ratio = 0.5
    answer = ask(context, question=question, press=press, max_new_tokens=5)["answer"]
    assert len(answer.split()) == 5
    assert {len(press.positions(*key)) for key in HEADS} == {75}


def test_a_store_of_fewer_bits_is_told(in_fewer_bits):
    with pytest.warns(UserWarning, match="its file holds keys and values as q8_0,q4_0, here they are held in the model's own type"):
        NAMMPress(in_fewer_bits, compression_ratio=0.75)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        NAMMPress(in_fewer_bits, compression_ratio=0.75, store="model")


def test_what_is_wrong_is_said(model, tokens):
    with pytest.raises(ValueError, match="compression_ratio: must be at least 0"):
        NAMMPress("h2o", compression_ratio=1.0)
    with pytest.raises(ValueError, match="uniform or pooled"):
        NAMMPress("h2o", mode="threshold")
    with pytest.raises(ValueError):
        NAMMPress("no-such-policy")
    press = NAMMPress("h2o", compression_ratio=0.75)
    with pytest.raises(ValueError, match="has not yet"):
        press.positions(0, 0)
    with pytest.raises(NotImplementedError, match="padding"), torch.no_grad(), press(model):
        model(input_ids=tokens(60), attention_mask=torch.arange(60).unsqueeze(0) > 3, past_key_values=transformers.DynamicCache())
    with pytest.raises(ValueError, match="one piece"), torch.no_grad(), press(model):
        cache = transformers.DynamicCache()
        model(input_ids=tokens(60), past_key_values=cache)
        model(input_ids=tokens(3), past_key_values=cache)
    with pytest.raises(ValueError, match="cache"), torch.no_grad(), press(model):
        model(input_ids=tokens(60), use_cache=False)
