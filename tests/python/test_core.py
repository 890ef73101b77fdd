"""Policy and Sequence, without torch models."""

import subprocess
import sys

import namm
import numpy as np
import pytest
import torch


def test_policies_need_neither_torch_nor_transformers():
    code = "import sys, namm; namm.Policy('default'); assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_names_and_settings():
    assert namm.policy_names()[0] == "default" and "h2o-mean" in namm.policy_names()
    policy = namm.Policy("SnapKV").with_budget("25%").with_mode("pooled").with_interval(64).with_protection(2, 8)
    assert (policy.name, policy.budget, policy.mode, policy.interval, policy.sinks, policy.recent) == ("snapkv", "25%", "pooled", 64, 2, 8)
    assert policy.drops and policy.reads_attention and not policy.reads_keys
    assert "snapkv" in repr(policy)
    with pytest.raises(ValueError, match="h2o"):
        namm.Policy("h20")
    with pytest.raises(RuntimeError):
        namm.Policy("no/such/file.json")
    with pytest.raises(ValueError, match="budget"):
        policy.with_budget("a lot")


def test_a_policy_file_is_the_same_policy(tmp_path):
    policy = namm.Policy("default").with_budget("12%")
    policy.save(str(tmp_path / "policy.json"))
    again = namm.Policy(str(tmp_path / "policy.json"))
    assert again.json == policy.json and again.budget == "12%"
    np.testing.assert_array_equal(again.parameters, policy.parameters)


@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
def test_a_sequence_keeps_the_best_by_accumulated_attention(make):
    policy = namm.Policy("h2o").with_budget("6").with_protection(1, 2).with_interval(12)
    sequence = namm.Sequence(policy, [(0, 1, 4, 4, 0)])
    sequence.append(0, make(np.arange(12, dtype=np.int32)))
    rows = np.tril(np.ones((12, 12), dtype=np.float32)) * 0.01
    rows[:, [3, 7, 8]] += 1  # three heavy hitters
    sequence.observe(0, 0, make(np.tril(rows)), 0)
    with pytest.raises(ValueError, match="update"):  # else all would be dropped
        sequence.kept(0, 0)
    assert sequence.due and sequence.tokens_seen == 12
    sequence.update()
    assert sequence.kept(0, 0).tolist() == [0, 3, 7, 8, 10, 11] == sequence.positions(0, 0).tolist()
    assert sequence.usage()["updates"] == 1
    again = namm.Sequence(policy, [(0, 1, 4, 4, 0)])
    again.restore(sequence.save())
    assert again.save() == sequence.save()
    with pytest.raises(RuntimeError):
        again.restore(sequence.save()[:-1])


def test_wrong_arrays_are_refused():
    sequence = namm.Sequence(namm.Policy("knorm").with_budget("30"), [(0, 2, 4, 4, 0)])
    with pytest.raises(ValueError, match="keys"):
        sequence.append(0, np.arange(3, dtype=np.int32))
    with pytest.raises(ValueError, match=r"\[3\]\[8\]"):
        sequence.append(0, np.arange(3, dtype=np.int32), np.zeros((3, 4), dtype=np.float32))
    assert sequence.tokens_seen == 0
