"""Policies in binary form, beside the safetensors library: each reads what the other writes, and refuses what the other refuses."""

import json
import struct
import warnings

import namm
import numpy as np
import pytest
import safetensors
from safetensors.numpy import load_file, save_file


@pytest.fixture
def files(tmp_path):
    """The policy `default`, in both forms."""
    for ending in ("json", "safetensors"):
        namm.Policy("default").with_budget("12%").save(str(tmp_path / f"policy.{ending}"), '{"model": "made up é"}')
    return tmp_path / "policy.json", tmp_path / "policy.safetensors"


def metadata_of(path):
    with safetensors.safe_open(path, framework="numpy") as opened:
        return opened.metadata()


def test_the_library_opens_our_files(files):
    text = json.loads(files[0].read_text())
    tensors, rest = load_file(files[1]), json.loads(metadata_of(files[1])["namm-policy"])
    assert sorted(tensors) == ["policy.normalisation.mean", "policy.normalisation.variance", "policy.weights"]
    for name, tensor in tensors.items():
        part, *inner = name.removeprefix("policy.").split(".")
        value = text["policy"][part][inner[0]] if inner else text["policy"][part]
        assert tensor.dtype == np.float32 and tensor.tolist() == np.array(value, dtype=np.float32).tolist()
        if inner:
            rest["policy"][part][inner[0]] = value
        else:
            rest["policy"][part] = value
    assert rest == text


def test_we_read_what_the_library_writes(files, tmp_path):
    again = str(tmp_path / "again")  # no ending: the content tells
    tensors = {name: tensor.astype(np.float64) if "weights" in name else tensor.reshape(1, -1) for name, tensor in load_file(files[1]).items()}
    save_file(tensors, again, metadata={**metadata_of(files[1]), "format": "np"})
    ours, theirs = namm.Policy(str(files[0])), namm.Policy(again)
    assert theirs.json == ours.json and theirs.budget == ours.budget == "12%"
    np.testing.assert_array_equal(theirs.parameters, ours.parameters)


def test_attach_takes_either_form(files, make_model, tokens):
    held = []
    for file in (*files, files[1].parent):  # a folder stands for the policy in it
        with namm.attach(make_model("llama"), str(file), budget=14, interval=32, sinks=2, recent=6) as memory:
            make_model("llama").generate(tokens(70), max_new_tokens=5, do_sample=False)
            held.append([memory.positions(layer, head) for layer in range(3) for head in range(2)])
    assert held[0] == held[1] == held[2] and len(held[0][0]) < 70


def test_a_store_of_fewer_bits_is_told_and_not_followed(in_fewer_bits, make_model, tokens):
    model, ids, usages = make_model("llama"), tokens(70), []
    assert namm.Policy(in_fewer_bits).store == "q8_0,q4_0" and namm.Policy("default").store == "f16"
    with pytest.warns(UserWarning, match="its file holds keys and values as q8_0,q4_0, here they are held in the model's own type") as told:
        namm.attach(model, in_fewer_bits)
    assert len(told) == 1 and told[0].filename == __file__  # it points at the call
    with pytest.warns(UserWarning, match="q8_0,q4_0"):
        namm.attach(model, namm.Policy(in_fewer_bits), budget=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for policy, store in ((in_fewer_bits, "model"), ("default", None), ("default", "model")):
            with namm.attach(model, policy, budget=14, interval=32, sinks=2, recent=6, store=store) as memory:
                model.generate(ids, max_new_tokens=5, do_sample=False)
            usages.append(memory.usage())
    assert usages[0] == usages[1] == usages[2]
    assert usages[0].entries < usages[0].entries_full and usages[0].kv_bytes == usages[0].entries * 2 * 8 * 4
    with pytest.raises(ValueError, match=r'store: must be "model" .*, is \'q8_0\''):
        namm.attach(model, "default", budget=14, store="q8_0")


def test_means_that_are_missed_are_told(make_model, tmp_path):
    file = tmp_path / "means.json"
    namm.Policy("default").with_budget("25%").save(str(file))
    file.write_text(json.dumps({**json.loads(file.read_text()), "store": "f16+4means"}))
    with pytest.warns(UserWarning, match="means behind, on which a policy tuned without recency counts; store="):
        namm.attach(make_model("llama"), str(file))


def test_evolution_tells_of_a_store_too(in_fewer_bits, make_model, tokenizer):
    with pytest.warns(UserWarning, match="q8_0,q4_0"), pytest.raises(ValueError, match="strategy"):
        namm.evolve(make_model("llama"), tokenizer, policy=in_fewer_bits, strategy="no such")


def damaged(name):
    tensor = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    header, data, length = {"a": tensor}, bytes(8), None
    if name == "length":
        length = 2**62
    elif name == "gap":
        header["b"] = {"dtype": "F32", "shape": [1], "data_offsets": [12, 16]}
        data = bytes(16)
    elif name == "overlap":
        header["b"] = {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}
    elif name == "beyond":
        tensor["data_offsets"] = [8, 16]
    elif name == "shape":
        tensor["shape"] = [3]
    elif name == "overflow":
        tensor["shape"] = [2**62 + 2]
    elif name == "dtype":
        tensor["dtype"] = "F33"
    elif name == "behind":
        data += b"x"
    elif name == "cut":
        data = data[:-1]
    elif name == "negative":
        tensor["shape"] = [-2]
    elif name == "metadata":
        header["__metadata__"] = {"namm-policy": 7}
    text = json.dumps(header).encode()
    if name == "twice":
        text = b'{"a":' + json.dumps(tensor).encode() + b"," + text[1:]
    elif name == "no JSON":
        text = b"{'a'}"
    return struct.pack("<Q", len(text) if length is None else length) + text + data


@pytest.mark.parametrize(
    "name", ["length", "gap", "overlap", "beyond", "shape", "overflow", "dtype", "behind", "cut", "negative", "metadata", "no JSON"]
)
def test_both_refuse_damaged_files(name, tmp_path):
    path = tmp_path / "policy.safetensors"
    path.write_bytes(damaged(name))
    with pytest.raises(safetensors.SafetensorError):
        load_file(path)
    with pytest.raises(RuntimeError) as refused:
        namm.Policy(str(path))
    assert str(refused.value).startswith(f"{path}: ") and "\n" not in str(refused.value)


def test_names_that_are_there_twice_are_refused(tmp_path):
    path = tmp_path / "policy.safetensors"
    path.write_bytes(damaged("twice"))
    with pytest.raises(RuntimeError, match='header must have every name once, has "a" twice'):
        namm.Policy(str(path))
    path.write_bytes(damaged("none"))
    with pytest.raises(RuntimeError, match="is it the weights of a model"):
        namm.Policy(str(path))
