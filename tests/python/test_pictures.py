"""Models that see: tokens of pictures and of text lie in one cache, and positions are those of the whole text whatever was dropped."""

import contextlib
import inspect
import sys

import namm
import pytest
import torch
import transformers
from conftest import _SMALL
from reference import masked, step

OLD = transformers.__version__.startswith("4.")
ASKED_FOR_KINDS = "mm_token_type_ids" in inspect.signature(transformers.Qwen2VLForConditionalGeneration.forward).parameters
CUTS_DELTAS = transformers.__version__.startswith("5.2.")  # max(delta, 0)
PICTURE, START, END = 96, 95, 94
TOKENS = {"llava": slice(5, 21), "qwen2_vl": slice(6, 30)}  # of the picture, in a prompt of 100 tokens
HEADS = [(layer, head) for layer in range(3) for head in range(2)]


@pytest.fixture(scope="module")
def make_seeing():
    made = {}

    def make(name):
        if name not in made:
            torch.manual_seed(1)
            if name == "llava":
                seen = transformers.CLIPVisionConfig(
                    hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, image_size=24, patch_size=6, projection_dim=16
                )
                settings = transformers.LlavaConfig(
                    vision_config=seen, text_config=transformers.LlamaConfig(**_SMALL), image_token_index=PICTURE, vision_feature_layer=-1
                )
                model = transformers.LlavaForConditionalGeneration(settings)
            else:
                rope = {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 10000.0}  # of heads of 8 numbers
                seen = dict(depth=2, embed_dim=32, hidden_size=32, num_heads=2, mlp_ratio=2, patch_size=4, spatial_merge_size=2, temporal_patch_size=1)
                settings = transformers.Qwen2VLConfig(
                    vision_config=seen, text_config={**_SMALL, "rope_parameters": rope, "rope_scaling": rope},
                    image_token_id=PICTURE, video_token_id=93, vision_start_token_id=START, vision_end_token_id=END,
                )  # fmt: skip
                model = transformers.Qwen2VLForConditionalGeneration(settings)
            for parameter in model.parameters():  # attention that is not all the same
                if parameter.ndim > 1:
                    parameter.data.mul_(2.0)
            model.eval().set_attn_implementation("eager")
            made[name] = model
        return made[name]

    return make


def inputs_of(name, tokens):
    ids = tokens(100) % 90 + 2
    ids[0, TOKENS[name]] = PICTURE
    if name == "llava":
        return {"input_ids": ids, "pixel_values": torch.randn(1, 3, 24, 24, generator=torch.Generator().manual_seed(2))}
    ids[0, 5], ids[0, 30] = START, END
    patches = torch.randn(96, 48, generator=torch.Generator().manual_seed(2))  # 8 x 12 of 4 x 4 pixels: 4 x 6 tokens
    inputs = {"input_ids": ids, "pixel_values": patches, "image_grid_thw": torch.tensor([[1, 8, 12]])}
    if ASKED_FOR_KINDS:
        inputs["mm_token_type_ids"] = (ids == PICTURE).int()
    return inputs


@contextlib.contextmanager
def noted_positions(model):
    """Coordinates that the language model's rotary embedding was asked for, along the tokens."""
    noted = []
    rotary = model.model.language_model.rotary_emb
    hook = rotary.register_forward_hook(lambda module, args, kwargs, out: noted.append(kwargs.get("position_ids", args[-1])), with_kwargs=True)
    try:
        yield noted
    finally:
        hook.remove()


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("policy", ["h2o", "knorm"])
def test_with_everything_kept_the_logits_are_stock(name, policy, make_seeing, tokens):
    model, inputs = make_seeing(name), inputs_of(name, tokens)
    with torch.no_grad():
        expected = model(**inputs, output_hidden_states=True)
        without = model(input_ids=inputs["input_ids"] * 0 + 7).logits
        assert (expected.logits - without).abs().max() > 0.1  # it does see
        with namm.attach(model, policy, budget="100%", interval=16) as memory:
            got = model(**inputs, output_hidden_states=True)
    torch.testing.assert_close(got.logits, expected.logits, rtol=1e-4, atol=2e-4 * expected.logits.abs().max().item())
    for one, other in zip(got.hidden_states, expected.hidden_states, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3 * other.abs().max().item())
    assert memory.usage().updates == 6  # pieces of 16: the picture, too, was read in pieces
    assert "forward" not in model.model.language_model.__dict__
    expected = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    with namm.attach(model, policy, budget="100%", interval=16):
        assert torch.equal(model.generate(**inputs, max_new_tokens=12, do_sample=False), expected)


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("policy, mode", [("h2o-mean", "uniform"), ("snapkv", "pooled"), ("knorm", "pooled")])
def test_evictions_equal_a_mask_over_the_whole_cache(name, policy, mode, make_seeing, tokens):
    model, inputs = make_seeing(name), inputs_of(name, tokens)
    later = tokens(120, seed=4)[:, 100:] % 90 + 2
    whole = {key: value for key, value in inputs.items() if key in ("input_ids", "image_grid_thw", "mm_token_type_ids")}
    if name == "qwen2_vl":
        positions, delta = model.model.get_rope_index(**whole)
        # as many as the picture is wide, not as it has tokens; what Transformers 5.2 makes of that (0) the language model is given
        assert delta.item() == (0 if CUTS_DELTAS else 6 - 24)
    with namm.attach(model, policy, budget=14, mode=mode, interval=32, sinks=2, recent=6) as memory, torch.no_grad(), noted_positions(model) as noted:
        parts = [model(**inputs)]
        assert memory.cache.peak_entries <= (14 + 32) * 6  # never the whole prompt
        for i in range(20):
            where = {"cache_position": torch.tensor([100 + i])} if OLD else {}
            parts.append(model(input_ids=later[:, i : i + 1], **where, **{memory.shape.cache_argument: memory.cache}))
    got = torch.cat([part.logits for part in parts], dim=1)

    with torch.no_grad():  # embeddings with the picture among them, as the language model is given them
        hook = model.model.language_model.register_forward_pre_hook(lambda module, args, kwargs: given.update(kwargs), with_kwargs=True)
        given = {}
        model(**inputs)
        hook.remove()
        embedded = torch.cat([given["inputs_embeds"], model.get_input_embeddings()(later)], dim=1)
    places = torch.arange(120).view(1, 1, 120)
    if name == "qwen2_vl":
        places = torch.cat([positions, (places[:, :, 100:] + delta).expand(3, 1, 20)], dim=2)
        asked = torch.cat([one.expand(3, 1, -1) for one in noted], dim=2)
        assert torch.equal(asked, places)  # coordinates, whatever was dropped
    ends = [32, 64, 96, *range(100, 121)]
    with masked(model, memory.policy, memory.shape.attention_layers) as state:
        states = []
        for a, b in zip([0, *ends], ends):
            where = places[..., a:b] if name == "qwen2_vl" else places[0, :, a:b]
            states.append(step(model.model.language_model, inputs_embeds=embedded[:, a:b], position_ids=where))
        expected = model.lm_head(torch.cat(states, dim=1))
    assert all(memory.positions(*key) == state["held"][key].tolist() for key in HEADS)
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())


@pytest.mark.parametrize("name", TOKENS)
def test_what_is_kept_of_pictures_and_text(name, make_seeing, tokens):
    model, inputs = make_seeing(name), inputs_of(name, tokens)
    with namm.attach(model, "h2o", budget=20, interval=16, sinks=2, recent=4) as memory:
        out = model.generate(**inputs, max_new_tokens=30, do_sample=False)
        picture = inputs["input_ids"][0] == PICTURE
        shares = memory.kept_shares({"picture": picture, "text": ~picture, "none": picture & False})
    assert out.shape == (1, 130) and memory.usage().tokens_seen == 129
    held = [memory.positions(*key) for key in HEADS]
    assert all(len(one) == 20 + 1 for one in held)  # 128 tokens at the last update
    where = TOKENS[name]
    by_hand = sum(where.start <= position < where.stop for one in held for position in one) / ((where.stop - where.start) * 6)
    assert shares["picture"] == pytest.approx(by_hand) and 0 < by_hand < 1
    text = sum(position < 100 for one in held for position in one) - by_hand * (where.stop - where.start) * 6
    assert shares["text"] == pytest.approx(text / ((100 - where.stop + where.start) * 6)) and shares["none"] != shares["none"]
    with pytest.raises(ValueError, match="must be a mask"):
        memory.kept_shares({"picture": inputs["input_ids"][0]})
    with pytest.raises(ValueError, match="129"):
        memory.kept_shares({"picture": torch.ones(130, dtype=torch.bool)})


def test_a_text_behind_a_picture_s_has_positions_of_its_own(make_seeing, tokens):
    model, ids = make_seeing("qwen2_vl"), tokens(60) % 90 + 2
    with torch.no_grad():
        expected = model(input_ids=ids).logits
        model(**inputs_of("qwen2_vl", tokens))  # leaves the offset of its picture in the model
        with namm.attach(model, "h2o", budget="100%", interval=16):
            got = model(input_ids=ids).logits
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=2e-4 * expected.abs().max().item())


def test_two_rows_with_padding_and_pictures(make_seeing, tokens):
    model, one = make_seeing("qwen2_vl"), inputs_of("qwen2_vl", tokens)
    short = torch.cat([torch.zeros((1, 40), dtype=torch.long), tokens(60, seed=9) % 90 + 2], dim=1)
    ids = torch.cat([one["input_ids"], short])
    mask = torch.ones_like(ids)
    mask[1, :40] = 0
    both = {**one, "input_ids": ids, "attention_mask": mask}
    if ASKED_FOR_KINDS:
        both["mm_token_type_ids"] = (ids == PICTURE).int()
    expected = model.generate(**both, max_new_tokens=12, do_sample=False)
    with namm.attach(model, "h2o", budget="100%", interval=16) as memory:
        assert torch.equal(model.generate(**both, max_new_tokens=12, do_sample=False), expected)
    assert memory.usage().tokens_seen == 111 + 71


def test_a_calibrated_policy_reads_keys_without_their_three_coordinates(make_seeing, tokens, tokenizer):
    model, inputs = make_seeing("qwen2_vl"), inputs_of("qwen2_vl", tokens)
    if hasattr(sys.modules[type(model).__module__], "apply_multimodal_rotary_pos_emb"):
        with pytest.raises(NotImplementedError, match="three coordinates"):
            namm.calibrate(model, tokenizer, texts=4, lengths=[96], progress=False)
        return
    module = model.model.language_model.layers[1].self_attn
    plain, rotation = [], []
    keys = module.k_proj.register_forward_hook(lambda module, args, out: plain.append(out))
    with namm.attach(model, "full") as memory, torch.no_grad():
        hook = module.register_forward_pre_hook(lambda module, args, kwargs: rotation.append(kwargs["position_embeddings"]), with_kwargs=True)
        model(**inputs)
        hook.remove(), keys.remove()
        turned = memory.cache.policy_layer(1).store.keys
        got = memory.shape.plain_keys(turned, rotation[0])
    expected = plain[0].view(1, 100, 2, 8).transpose(1, 2)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    assert (turned - expected).abs().max() > 0.1
    policy = namm.calibrate(model, tokenizer, texts=4, lengths=[96], progress=False)
    with namm.attach(model, policy, budget=20, interval=16, sinks=2, recent=4) as memory:
        model.generate(**inputs, max_new_tokens=29, do_sample=False)
    assert memory.usage().entries == 20 * 6 and memory.usage().kv_bytes < memory.usage().kv_bytes_full / 4
