"""Calibration on small models: what is recorded and fitted equals a computation of its own, and the policy holds its budget."""

import copy
import json
import math

import namm
import numpy as np
import pytest
import torch
from conftest import NAMES, Characters
from namm import _recording

QUICK = dict(texts=4, lengths=[64, 96], progress=False)
WORDS = "the quick brown fox jumps over a lazy dog while seven grey birds watch from an old stone wall beside the river "
TEXTS = [(WORDS[i:] + WORDS.upper() + WORDS[::-1])[: 130 + 5 * i] for i in range(4)]


# -- against NumPy ---------------------------------------------------------------------------------------------------------------


def recorded(model, ids, context, first_query):
    """(layer, KV head, keys before rotary embedding, targets, [attention, attention x evenness]) of the first `context` tokens, in
    double, of attention that the queries from `first_query` on pay."""
    seen, undo = {}, []
    for index, layer in enumerate(model.model.layers):
        for name in ("k_proj", "v_proj"):
            keep = lambda module, args, out, at=(index, name): seen.__setitem__(at, out[0].double().numpy())
            undo.append(getattr(layer.self_attn, name).register_forward_hook(keep))
    with torch.no_grad():
        attentions = model(input_ids=torch.tensor([ids]), output_attentions=True).attentions
    for one in undo:
        one.remove()
    heads, size = model.config.num_key_value_heads, model.config.hidden_size // model.config.num_attention_heads
    order = np.arange(size).reshape(2, -1).T.flatten()  # llama.cpp's: numbers that are rotated together lie beside each other
    for index, attention in enumerate(attentions):
        mean = attention[0].double().numpy().reshape(heads, -1, len(ids), len(ids)).mean(axis=1)
        largest = np.zeros((heads, context))
        for query in range(first_query, len(ids) - 1):  # the last token writes nothing
            far = min(context, query - 16)
            largest[:, :far] = np.maximum(largest[:, :far], mean[:, query, :far])
        even = np.zeros((heads, 2))
        for query in range(first_query, len(ids) - 1, 8):
            paid = mean[:, query, 4 : min(context, query - 16)]
            share = paid / paid.sum(axis=1, keepdims=True)
            entropy = -(share * np.log(share)).sum(axis=1)
            even += np.stack([paid.sum(axis=1), paid.sum(axis=1) * np.exp(entropy) / paid.shape[1]], axis=1)
        keys = seen[index, "k_proj"][:context].reshape(context, heads, size)[:, :, order]
        values = seen[index, "v_proj"][:context].reshape(context, heads, size)
        for head in range(heads):
            norms = 0.5 * np.log(1e-12 + (values[:, head] ** 2).sum(axis=1))
            yield index, head, keys[:, head], np.log(largest[head] + 1e-3) + norms - norms.mean(), even[head]


def ridge(rows, targets, penalty):
    """Weights and constant: standardised inputs, penalty per row."""
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    scaled = (rows - mean) / deviation
    weights = np.linalg.solve(scaled.T @ scaled / len(rows) + penalty * np.eye(rows.shape[1]), scaled.T @ (targets - targets.mean()) / len(rows))
    return weights / deviation, targets.mean() - mean @ (weights / deviation)


@pytest.mark.parametrize("piece", [50, 512])  # the other computation reads a text as a whole; 512 has several tiles of queries
def test_the_fit_equals_numpy_s(piece, make_model, tokenizer, monkeypatch):
    monkeypatch.setattr(_recording, "_PIECE", piece)
    model, length = make_model("llama"), 120
    policy = namm.calibrate(model, tokenizer, texts=TEXTS, lengths=[length], input="key", read_out="linear", progress=False)
    problems, evenness = {}, {}
    for text in TEXTS:
        plain = tokenizer(text, False)["input_ids"][:length]
        context = [1, *plain]
        ids = [*context, *tokenizer("\n\nRepeat the text above, word for word.", False)["input_ids"], *plain]
        for layer, head, keys, targets, even in recorded(model, ids, len(context), len(ids) - len(plain) - 1):
            problems.setdefault((layer, head), []).append((keys, targets))
            evenness[layer, head] = evenness.get((layer, head), 0) + even
    error = variation = 0.0
    for (layer, head), texts in problems.items():
        for fold in range(3):
            test = [one for i, one in enumerate(texts) if i % 3 == fold]
            train = [one for i, one in enumerate(texts) if i % 3 != fold]
            weights, constant = ridge(*map(np.concatenate, zip(*train)), policy.penalty)
            keys, targets = map(np.concatenate, zip(*test))
            error += ((keys @ weights + constant - targets) ** 2).sum()
            variation += ((targets - targets.mean()) ** 2).sum()
        weights, constant = ridge(*map(np.concatenate, zip(*texts)), policy.penalty)
        fitted = json.loads(policy.json)["probe"]["layers"][layer]["weights"]
        got = np.array(fitted).reshape(model.config.num_key_value_heads, -1)[head]
        np.testing.assert_allclose(got, [*weights, constant], rtol=1e-3, atol=1e-4)
    got = json.loads(policy.json)
    np.testing.assert_allclose(got["evenness"], [even / attended for _, (attended, even) in sorted(evenness.items())], rtol=1e-4)
    assert got["recency"] == 2
    assert policy.explained == pytest.approx(1 - error / variation, abs=1e-5)
    assert len(policy.explained_by_layer) == 3


# -- the policy ------------------------------------------------------------------------------------------------------------------


def test_it_attaches_and_the_memory_is_given_back(make_model, tokenizer, tokens):
    model = make_model("llama")
    policy = namm.calibrate(model, tokenizer, **QUICK)
    assert isinstance(policy, namm.Policy) and policy.name == "key-probe" and policy.mode == "pooled" and policy.budget == "25%"
    assert 0.2 < policy.explained < 1 and not policy.reads_attention
    with namm.attach(model, policy, budget=0.25, interval=64, sinks=2, recent=4) as memory, torch.no_grad():
        model(input_ids=tokens(512))
        usage = memory.usage()
    assert usage.entries == usage.entries_full // 4 and usage.entries_full == 512 * 3 * 2
    held = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for layer in memory.cache.policy_layers() for t in layer.store.tensors()}
    assert usage.kv_bytes == sum(held.values()) == usage.entries * 2 * 8 * 4
    assert len({len(memory.positions(layer, head)) for layer in range(3) for head in range(2)}) > 1  # pooled by what is worth more


def test_the_same_arguments_write_the_same_bytes(make_model, tokenizer, tmp_path):
    model = make_model("llama")
    first, second = (namm.calibrate(model, tokenizer, output=tmp_path / name, **QUICK) for name in ("a", "b"))
    assert (tmp_path / "a" / "policy.json").read_bytes() == (tmp_path / "b" / "policy.json").read_bytes()
    assert first.explained_by_layer == second.explained_by_layer
    assert namm.calibrate(model, tokenizer, seed=2, **QUICK).json != first.json


def test_the_policy_in_binary_form_is_the_same(make_model, tokenizer, tmp_path):
    model, folder = make_model("llama"), tmp_path / "probe"
    policy = namm.calibrate(model, tokenizer, output=folder, format="safetensors", **QUICK)
    assert sorted(path.name for path in folder.iterdir()) == ["calibration.json", "policy.safetensors"]
    assert namm.Policy(str(folder)).json == policy.json
    with pytest.raises(ValueError, match="holds a policy already"):
        namm.calibrate(model, tokenizer, output=folder, **QUICK)


def test_the_folder_holds_what_the_program_writes(make_model, tokenizer, tmp_path, capsys):
    model = make_model("llama")
    with pytest.warns(UserWarning, match="texts must have 68 tokens or more for the age of tokens to count"):
        policy = namm.calibrate(model, tokenizer, output=str(tmp_path / "probe"), texts=4, lengths=[64], recency=0.5)
    assert sorted(path.name for path in (tmp_path / "probe").iterdir()) == ["calibration.json", "policy.json"]
    assert namm.Policy(str(tmp_path / "probe")).json == policy.json and json.loads(policy.json)["recency"] == 0.5
    summary = json.loads((tmp_path / "probe" / "calibration.json").read_text())
    assert summary["explained"] == policy.explained and summary["penalty"] == policy.penalty and summary["texts"] == 4
    assert summary["settings"]["lengths_tokens"] == [64] and summary["settings"]["target"] == "reconstruction"
    provenance = json.loads((tmp_path / "probe" / "policy.json").read_text())["provenance"]
    assert provenance["model"] == "LlamaForCausalLM" and provenance["architecture"] == "llama" and provenance["recorded"] == 4
    assert "transformers" in provenance["runtime"] and provenance["dtype"] == "float32" and provenance["date"]
    assert summary["evenness"] == policy.evenness == [0] * 6
    lines = capsys.readouterr().err.splitlines()
    assert "4 texts" in lines[0] and "variance explained on held-out texts" in lines[-1]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "llama"])
def test_models(name, make_model, tokenizer, tokens):
    model = make_model(name)
    policy = namm.calibrate(model, tokenizer, **QUICK)
    shape = namm.attach(model, "full").shape
    full = [layer for layer, window in shape.attention_layers.items() if not window]
    assert [layer["layer"] for layer in json.loads(policy.json)["probe"]["layers"]] == full  # no policy decides about windows
    assert math.isfinite(policy.explained)
    with namm.attach(model, policy, budget=0.25, interval=64, sinks=2, recent=4) as memory, torch.no_grad():
        model(input_ids=tokens(256))
    held = sum(len(memory.positions(layer, head)) for layer in full for head in range(shape.kv_heads))
    assert held == 256 // 4 * len(full) * shape.kv_heads


@pytest.mark.parametrize("settings", [dict(target="later"), dict(target="planted"), dict(input="key"), dict(read_out="linear"), dict(value_weight=0)])
def test_settings(settings, make_model, tokenizer):
    plain, other = (namm.calibrate(make_model("llama"), tokenizer, **QUICK, **more) for more in ({}, settings))
    assert math.isfinite(other.explained) and other.json != plain.json


def test_chat_templates_stand_around_the_text(make_model):
    class Chat(Characters):
        chat_template = "yes"

        def apply_chat_template(self, turns, **kwargs):
            return f"<user>{turns[0]['content']}</user><model>"

    model, seen = make_model("llama"), []
    hook = model.model.embed_tokens.register_forward_hook(lambda module, args, out: seen.append(args[0][0].tolist()))
    namm.calibrate(model, Chat(), texts=[WORDS], lengths=[len(WORDS)], progress=False)
    hook.remove()
    ids = Chat()("<user>" + WORDS + "\n\nRepeat the text above, word for word.</user><model>" + WORDS)["input_ids"]
    assert [token for piece in seen for token in piece] == ids


def test_half_precision(make_model, tokenizer):
    model = make_model("llama")
    policy = namm.calibrate(copy.deepcopy(model).to(torch.bfloat16), tokenizer, **QUICK)
    assert policy.explained == pytest.approx(namm.calibrate(model, tokenizer, **QUICK).explained, abs=0.05)
    assert policy.provenance["dtype"] == "bfloat16"


def test_lengths_of_its_own_fit_the_model(tokenizer):
    import transformers
    from conftest import _SMALL

    model = transformers.AutoModelForCausalLM.from_config(transformers.LlamaConfig(**{**_SMALL, "max_position_embeddings": 200}))
    policy = namm.calibrate(model, tokenizer, texts=2, progress=False)
    assert max(policy.provenance["lengths_tokens"]) * 2 < 200
    with pytest.raises(ValueError, match="200 tokens.*shorter"):
        namm.calibrate(model, tokenizer, texts=2, lengths=[128], progress=False)


def test_one_text_says_that_nothing_is_known_of_it(make_model, tokenizer, tmp_path, capsys):
    policy = namm.calibrate(make_model("llama"), tokenizer, output=tmp_path / "probe", texts=[TEXTS[0]], lengths=[200])
    assert math.isnan(policy.explained) and "too few texts" in capsys.readouterr().err
    assert json.loads((tmp_path / "probe" / "calibration.json").read_text())["explained"] is None


# -- what goes wrong -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings, reason",
    [
        (dict(texts=0), "texts: must be 1"),
        (dict(texts=[]), "texts: must hold a text or more, is empty"),
        (dict(texts="one long text"), "is one text; give"),
        (dict(texts=[WORDS, "short"]), "number 1 has 5"),
        (dict(texts=[WORDS, 7]), "number 1 is a int"),
        (dict(lengths=[]), "lengths: must be 32 tokens"),
        (dict(lengths=[8]), "lengths: must be 32 tokens"),
        (dict(lengths=[8000]), "lengths: .*4096 tokens"),
        (dict(format="pickle"), "json or safetensors"),
        (dict(target="answers"), "target: must be"),
        (dict(input="query"), "key or layer"),
        (dict(read_out="cubic"), "linear or quadratic"),
        (dict(value_weight=5), "value weight"),
        (dict(recency=-1), "recency"),
        (dict(seed=-1), "seed"),
    ],
)
def test_wrong_arguments(settings, reason, make_model, tokenizer, tmp_path):
    with pytest.raises(ValueError, match=reason) as raised:
        namm.calibrate(make_model("llama"), tokenizer, output=tmp_path / "probe", **{**QUICK, **settings})
    assert "\n" not in str(raised.value) and not (tmp_path / "probe").exists()


def test_a_tokeniser_is_needed(make_model):
    with pytest.raises(ValueError, match="tokenizer: must be"):
        namm.calibrate(make_model("llama"), None, **QUICK)

    class Roles(Characters):
        chat_template = "yes"

        def apply_chat_template(self, turns, **kwargs):
            raise RuntimeError("a system message must come first\nelse nothing")

    with pytest.raises(ValueError, match=r"chat template: .*must come first\); give chat_template=False"):
        namm.calibrate(make_model("llama"), Roles(), **QUICK)
    namm.calibrate(make_model("llama"), Roles(), chat_template=False, **QUICK)


def test_models_that_no_policy_attaches_to(tokenizer):
    import transformers

    mamba = transformers.AutoModelForCausalLM.from_config(transformers.MambaConfig(vocab_size=97, hidden_size=32, num_hidden_layers=2, state_size=4))
    with pytest.raises(NotImplementedError, match="KV cache"):
        namm.calibrate(mamba, tokenizer, **QUICK)


def test_a_policy_is_not_overwritten(make_model, tokenizer, tmp_path):
    (tmp_path / "policy.json").write_text("mine")
    with pytest.raises(ValueError, match="holds a policy already"):
        namm.calibrate(make_model("llama"), tokenizer, output=tmp_path, **QUICK)
    assert (tmp_path / "policy.json").read_text() == "mine"


def test_what_is_stopped_leaves_nothing_behind(make_model, tokenizer, tmp_path):
    model = copy.deepcopy(make_model("llama")).train()
    model.model.layers[0].eval()  # as somebody may have it who freezes a part
    calls = []

    def stop(*args):
        calls.append(model.training)
        if len(calls) == 3:  # in the third text
            raise KeyboardInterrupt

    hook = model.model.embed_tokens.register_forward_hook(stop)
    with pytest.raises(KeyboardInterrupt):
        namm.calibrate(model, tokenizer, output=tmp_path / "probe", **QUICK)
    hook.remove()
    assert not (tmp_path / "probe").exists() and calls == [False] * 3
    assert model.training and not model.model.layers[0].training and "forward" not in model.__dict__
    assert namm.calibrate(model, tokenizer, output=tmp_path / "probe", **QUICK).json == namm.calibrate(make_model("llama"), tokenizer, **QUICK).json


def test_numbers_that_are_none_are_refused(make_model, tokenizer):
    model = copy.deepcopy(make_model("llama"))
    with torch.no_grad():
        model.model.layers[1].self_attn.q_proj.weight.fill_(math.nan)
    with pytest.raises(RuntimeError, match="finite"):
        namm.calibrate(model, tokenizer, **QUICK)


def test_a_recording_with_a_part_missing_is_refused(make_model, tokenizer):
    from namm import _core

    turn, plain = ("", ""), Characters()
    calibration = _core.Calibration(
        [(0, 1, 4, 4, 0)], 0, "later", "key", "linear", 1.0, [40], 1, turn, lambda text, special, template: plain(text, special)["input_ids"], plain.decode
    )
    calibration.add_made_up(1)
    with pytest.raises(ValueError, match="begin"):
        calibration.add()
    ids, context, queries = calibration.begin(0)
    assert len(ids) == context == 41 and queries == [(0, 41)]
    rows = np.zeros((20, 4), np.float32)
    calibration.append(0, np.arange(20, dtype=np.int32), rows, rows)
    with pytest.raises(ValueError, match="has 20 of 41"):
        calibration.add()
    with pytest.raises(ValueError, match="recorded text"):
        calibration.fit(1.0)
    with pytest.raises(ValueError, match=r"\[20\]\[4\]"):
        calibration.append(0, np.arange(20, dtype=np.int32), rows[:, :3].copy(), rows)
