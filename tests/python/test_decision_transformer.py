"""A decision transformer read step by step over a policy's cache: returns, states and actions are its tokens."""

import namm
import pytest
import torch
import transformers
from reference import masked, step

STEPS, STATE, ACTION = 40, 5, 3
HEADS = [(layer, head) for layer in range(3) for head in range(2)]


BACKEND = getattr(transformers.DecisionTransformerModel, "_supports_attention_backend", False)


@pytest.mark.skipif(BACKEND, reason="of older versions of Transformers")
def test_a_version_whose_attention_cannot_be_replaced_is_refused():
    with pytest.raises(NotImplementedError, match="AttentionInterface"):
        namm.attach(transformers.DecisionTransformerModel(transformers.DecisionTransformerConfig(n_layer=1)), "full")


@pytest.fixture(scope="module")
def model():
    if not BACKEND:
        pytest.skip("attention of decision transformers cannot be replaced in this version")
    torch.manual_seed(3)
    settings = transformers.DecisionTransformerConfig(
        state_dim=STATE, act_dim=ACTION, hidden_size=32, max_ep_len=50, n_layer=3, n_head=2, attn_implementation="eager"
    )
    model = transformers.DecisionTransformerModel(settings).eval()
    for parameter in model.parameters():  # attention that is not all the same
        if parameter.ndim > 1:
            parameter.data.mul_(4.0)
    return model


def surroundings(rows=1, steps=STEPS):
    """States and returns to go of an environment that does not listen."""
    draw = torch.Generator().manual_seed(5)
    return torch.randn(rows, steps, STATE, generator=draw), torch.rand(rows, steps, 1, generator=draw)


def stock_actions(model, states, wanted):
    """As one does without a cache: the whole episode anew for every action."""
    rows, steps = states.shape[:2]
    actions, time = torch.zeros(rows, steps, ACTION), torch.arange(steps).expand(rows, steps)
    with torch.no_grad():
        for t in range(steps):
            seen = dict(states=states[:, : t + 1], actions=actions[:, : t + 1], returns_to_go=wanted[:, : t + 1], timesteps=time[:, : t + 1])
            actions[:, t] = model(**seen).action_preds[:, -1]
    return actions


def rolled_out(memory, states, wanted):
    episode = memory.episode()
    return episode, torch.stack([episode.act(wanted[:, t], states[:, t]) for t in range(states.shape[1])], dim=1)


@pytest.mark.parametrize("policy", ["h2o", "knorm", "full"])
def test_with_everything_kept_actions_are_stock(policy, model):
    states, wanted = surroundings(rows=2)
    expected = stock_actions(model, states, wanted)
    assert expected.std(dim=1).min() > 0.01  # they depend on the state
    with namm.attach(model, policy, budget="100%", interval=16) as memory:
        episode, got = rolled_out(memory, states, wanted)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    assert episode.steps == STEPS and memory.usage().tokens_seen == 2 * (3 * STEPS - 1)  # the last action was not read
    assert episode.kept_shares(1) == {"return": 1.0, "state": 1.0, "action": 1.0}
    torch.testing.assert_close(stock_actions(model, states, wanted), expected, rtol=0, atol=0)  # as before, behind the block


def test_the_whole_episode_in_one_call_is_stock_too(model):
    states, wanted = surroundings(rows=2)
    actions, mask = torch.randn(2, STEPS, ACTION), torch.ones(2, STEPS, dtype=torch.long)
    mask[1, :10] = 0  # the way its users pad: on the left
    whole = dict(states=states, actions=actions, returns_to_go=wanted, timesteps=torch.arange(STEPS).expand(2, STEPS), attention_mask=mask)
    with torch.no_grad():
        expected = model(**whole)
        with namm.attach(model, "h2o", budget="100%", interval=16) as memory:
            got = model(**whole)
        with namm.attach(model, "h2o", budget=12, interval=16, sinks=2, recent=4):
            dropped = model(**whole)
    for name in ("action_preds", "state_preds", "return_preds"):
        torch.testing.assert_close(got[name][mask.bool()], expected[name][mask.bool()], rtol=1e-4, atol=1e-4)
    assert memory.usage().tokens_seen == 3 * (2 * STEPS - 10)
    assert (dropped.action_preds - expected.action_preds).abs().max() > 1e-3


@pytest.mark.parametrize("policy, mode", [("h2o-mean", "uniform"), ("snapkv", "pooled"), ("knorm", "pooled")])
def test_evictions_equal_a_mask_over_the_whole_cache(policy, mode, model):
    states, wanted = surroundings()
    given = []
    with namm.attach(model, policy, budget=14, mode=mode, interval=16, sinks=2, recent=4) as memory:
        hook = model.encoder.h[0].register_forward_pre_hook(lambda module, args: given.append(args[0]))
        episode, got = rolled_out(memory, states, wanted)
        hook.remove()
    with masked(model.encoder, memory.policy, memory.shape.attention_layers) as state:
        tokens = torch.cat(given, dim=1)  # place and time are in them
        # an update comes where a multiple of the interval is passed, here within a step: pieces end there
        ends = sorted({*range(16, 119, 16), *range(2, 120, 3)})
        plain = tokens - model.encoder.wpe.weight[0]
        parts = []
        for a, b in zip([0, *ends], ends):
            parts.append(step(model.encoder, inputs_embeds=plain[:, a:b], position_ids=torch.zeros((1, b - a), dtype=torch.long)))
        hidden = torch.cat(parts, dim=1)
    with torch.no_grad():
        expected = model.predict_action(hidden[:, 1::3])
    assert all(memory.positions(*key) == state["held"][key].tolist() for key in HEADS)
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)
    everything = stock_actions(model, states, wanted)
    assert (got - everything).abs().max() > 1e-2  # the policy did drop something that mattered
    assert memory.usage().entries < 0.3 * memory.usage().entries_full and memory.usage().kv_bytes == memory.usage().entries * 2 * 16 * 4


def test_what_is_kept_by_kind_of_token(model):
    states, wanted = surroundings()
    with namm.attach(model, "h2o", budget=20, interval=16, sinks=2, recent=4) as memory:
        episode, _ = rolled_out(memory, states, wanted)
    held = [position for key in HEADS for position in memory.positions(*key)]
    read = {"return": 40, "state": 40, "action": 39}
    shares = episode.kept_shares()
    assert list(shares) == list(read)
    for place, (name, count) in enumerate(read.items()):
        assert shares[name] == pytest.approx(sum(position % 3 == place for position in held) / (count * 6))
    assert sum(shares[name] * count * 6 for name, count in read.items()) == pytest.approx(memory.usage().entries)


def test_the_action_that_was_taken_is_what_is_read(model):
    states, wanted = surroundings(steps=2)
    taken = torch.tensor([0.9, -0.9, 0.1])
    with namm.attach(model, "full") as memory:
        episode = memory.episode()
        episode.act(float(wanted[0, 0, 0]), states[0, 0])  # a single row, unbatched
        got = episode.act(wanted[:, 1], states[:, 1], taken=taken)
    actions = torch.stack([taken, torch.zeros(3)]).unsqueeze(0)
    with torch.no_grad():
        expected = model(states=states, actions=actions, returns_to_go=wanted, timesteps=torch.arange(2).unsqueeze(0)).action_preds[:, -1]
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_what_is_wrong_is_said(model, make_model, tokenizer):
    states, wanted = surroundings()
    with namm.attach(model, "h2o", budget=20, interval=16, sinks=2, recent=4) as memory:
        episode = memory.episode()
        with pytest.raises(ValueError, match="act"):
            episode.kept_shares()
        with pytest.raises(ValueError, match=r"state: must be \[rows, 5\]"):
            episode.act(1.0, torch.zeros(1, 4))
        with pytest.raises(ValueError, match="taken"):
            episode.act(1.0, states[:, 0], taken=torch.zeros(1, ACTION))
        episode.act(1.0, states[:, 0])
        with pytest.raises(ValueError, match="rows"):
            episode.act(1.0, torch.zeros(2, STATE))
        with pytest.raises(ValueError, match="return_to_go"):
            episode.act([1.0, 2.0], states[:, 0])
        for _ in range(49):
            episode.act(1.0, states[:, 0])
        with pytest.raises(ValueError, match="50 steps of max_ep_len"):
            episode.act(1.0, states[:, 0])
    with pytest.raises(NotImplementedError, match="decision transformer"):
        namm.attach(make_model("llama"), "full").episode()
    with pytest.raises(NotImplementedError, match="must read text"):
        namm.calibrate(model, tokenizer, progress=False)
    with pytest.raises(NotImplementedError, match="must read text"):
        namm.evolve(model, tokenizer, progress=False)
    crossed = transformers.DecisionTransformerModel(transformers.DecisionTransformerConfig(hidden_size=32, n_layer=1, add_cross_attention=True))
    with pytest.raises(NotImplementedError, match="cross-attention"):
        namm.attach(crossed, "full")
