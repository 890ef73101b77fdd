"""Checkpoints of the reference: parameters and normalisation come through bit for bit, scores are the recorded ones."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import namm
import numpy as np
import pytest
import torch

GOLDEN = Path(__file__).parents[1] / "golden"


def array(entry, dtype=np.float32):
    return np.array(entry["data"], dtype=dtype).reshape(entry["shape"])


@pytest.fixture(scope="module")
def pipeline():
    return json.loads((GOLDEN / "pipeline.json").read_text())


def checkpoint(pipeline, path, **changes):
    state = {
        "mean": torch.from_numpy(array(pipeline["params"])),
        "best_member": torch.zeros(4172),
        "C": torch.eye(3),
        "stored_buffers_to_save.embedding.norm_mean": torch.from_numpy(array(pipeline["mean"])),
        "stored_buffers_to_save.embedding.norm_var": torch.from_numpy(array(pipeline["var"])),
        "stored_buffers_to_save.embedding.norm_count": torch.tensor(7.0),
    }
    state.update(changes)
    torch.save({"evolution_state": {key: value for key, value in state.items() if value is not None}, "iter_num": 3}, path)


def test_a_checkpoint_decides_as_the_reference_did(pipeline, tmp_path):
    checkpoint(pipeline, tmp_path / "ckpt.pt")
    policy = namm.import_checkpoint(tmp_path / "ckpt.pt")
    assert (policy.name, policy.mode, policy.budget, policy.interval) == ("namm", "reference", "none", 512)
    np.testing.assert_array_equal(policy.parameters, array(pipeline["params"]))
    kv, group, new = pipeline["KV"], pipeline["G"], pipeline["Q"]
    sequence = namm.Sequence(policy.with_interval(new), [(layer, kv, 4, 4, 0) for layer in range(pipeline["L"])])
    for number, update in enumerate(pipeline["updates"]):
        for layer, recorded in enumerate(update["layers"]):
            sequence.append(layer, np.arange(number * new, (number + 1) * new, dtype=np.int32))
            attention = array(recorded["attn"])
            for head in range(kv):
                rows = attention[head * group : (head + 1) * group].mean(axis=0, dtype=np.float32)
                np.testing.assert_array_equal(sequence.positions(layer, head), array(recorded["positions"], np.int32)[head])
                sequence.observe(layer, head, rows, number * new)
        sequence.update()
        for layer, recorded in enumerate(update["layers"]):
            for head in range(kv):
                np.testing.assert_array_equal(sequence.positions(layer, head), array(recorded["kept_positions"], np.int32)[head])


def test_there_and_back_by_command(pipeline, tmp_path):
    checkpoint(pipeline, tmp_path / "ckpt.pt")

    def run(*arguments):
        return subprocess.run([sys.executable, "-m", "namm", *map(str, arguments)], capture_output=True, text=True)

    assert run("import", tmp_path / "ckpt.pt", tmp_path / "policy.json").returncode == 0
    assert run("export", tmp_path / "policy.json", tmp_path / "again.pt").returncode == 0
    one, two = namm.import_checkpoint(tmp_path / "ckpt.pt"), namm.import_checkpoint(tmp_path / "again.pt")
    assert one.json == two.json
    assert namm.import_checkpoint(tmp_path / "ckpt.pt", "best_member").parameters.max() == 0
    failed = run("import", tmp_path / "policy.json", tmp_path / "no.json")
    assert failed.returncode == 1 and failed.stderr.count("\n") == 1 and not (tmp_path / "no.json").exists()
    assert run("export", "h2o", tmp_path / "no.pt").returncode == 2


class Executes:
    def __reduce__(self):
        return (Path.touch, (Path("was_executed"),))


def test_other_files_are_refused_and_never_executed(pipeline, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "file.pt"
    torch.save({"evolution_state": Executes()}, path)
    with pytest.raises(RuntimeError, match="executed"):
        namm.import_checkpoint(path)
    path.write_bytes(pickle.dumps(Executes()))
    with pytest.raises(RuntimeError):
        namm.import_checkpoint(path)
    assert not (tmp_path / "was_executed").exists()
    path.write_text("something else")
    with pytest.raises(RuntimeError):
        namm.import_checkpoint(path)
    torch.save({"model": torch.zeros(3)}, path)
    with pytest.raises(RuntimeError, match="evolution_state"):
        namm.import_checkpoint(path)
    for changes, reason in [
        (dict(mean=torch.zeros(26)), "4172"),
        (dict(mean=torch.full((4172,), float("nan"))), "finite"),
        ({"stored_buffers_to_save.embedding.norm_var": None}, "normalisation"),
        ({"stored_buffers_to_save.other_mean": torch.zeros(17)}, "normalisation"),
    ]:
        checkpoint(pipeline, path, **changes)
        with pytest.raises(RuntimeError, match=reason):
            namm.import_checkpoint(path)
    with pytest.raises(FileNotFoundError):
        namm.import_checkpoint(tmp_path / "missing.pt")
    with pytest.raises(ValueError, match="paper"):
        namm.export_checkpoint(namm.Policy("default"), path)
