"""The same model read by llama.cpp with our adapter: the same tokens stay, but for those whose scores differ by less than the
rounding of llama.cpp's F16 cache.

Needs NAMM_KEPT_POSITIONS (build/release/tests/llama/namm_kept_positions), NAMM_TEST_MODEL (a GGUF of floats, SmolLM2 for example;
quantised weights are multiplied in other ways by the two) and, for a calibrated policy, NAMM_TEST_POLICY; for the comparisons of two
calibrations and two evolutions NAMM_PROGRAM (build/release/namm); the packages gguf and accelerate. Skipped where they are missing.
Bounds of the last two are SmolLM2's: on Qwen2.5-Coder-0.5B-Instruct weights of layer 0 differ by 1.1 %, a value of the log by 0.026.
"""

import json
import os
import subprocess
from pathlib import Path

import namm
import numpy as np
import pytest
import torch
import transformers

PROGRAM, MODEL = os.environ.get("NAMM_KEPT_POSITIONS", ""), os.environ.get("NAMM_TEST_MODEL", "")
POLICIES = [("h2o-mean", "uniform"), ("knorm", "pooled"), ("default", "uniform"), (os.environ.get("NAMM_TEST_POLICY", ""), "pooled")]
pytestmark = pytest.mark.skipif(not (PROGRAM and MODEL), reason="NAMM_KEPT_POSITIONS and NAMM_TEST_MODEL are not set")


@pytest.fixture(scope="module")
def model():
    pytest.importorskip("gguf")
    pytest.importorskip("accelerate")
    path = Path(MODEL)
    return transformers.AutoModelForCausalLM.from_pretrained(str(path.parent), gguf_file=path.name, dtype=torch.float32).eval()


@pytest.mark.parametrize("policy, mode", POLICIES, ids=["h2o-mean", "knorm", "default", "calibrated"])
def test_the_same_tokens_stay(policy, mode, model, tmp_path):
    if not policy:
        pytest.skip("NAMM_TEST_POLICY is not set")
    text = tmp_path / "text.txt"
    text.write_text((Path(__file__).parents[2] / "docs" / "policies.md").read_text()[:5000])
    done = subprocess.run([PROGRAM, MODEL, policy, "25%", mode, text], capture_output=True, text=True, check=True)
    of_llama = json.loads(done.stdout)
    ids = torch.tensor([of_llama["tokens"]])
    assert ids.shape[1] > 1030  # two updates at least
    with namm.attach(model, policy, budget="25%", mode=mode) as memory, torch.no_grad():
        logits = model(input_ids=ids, logits_to_keep=1).logits[0, -1]
    same = sum(len(set(held) & set(memory.positions(layer, head))) for layer, head, held in of_llama["kept"])
    total = sum(len(held) for _, _, held in of_llama["kept"])
    assert total == memory.usage().entries
    assert same >= 0.995 * total, f"{same} of {total}"
    expected = torch.tensor(of_llama["logits"])
    assert logits.argmax() == expected.argmax()
    torch.testing.assert_close(logits, expected, rtol=0, atol=0.01 * expected.abs().max().item())


# -- two calibrations ------------------------------------------------------------------------------------------------------------

NAMM, TEXTS, LENGTHS = os.environ.get("NAMM_PROGRAM", ""), 4, [128, 256]


@pytest.mark.skipif(not NAMM, reason="NAMM_PROGRAM is not set")
def test_the_same_calibration(model, tmp_path):
    path = Path(MODEL)
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    settings = ["--texts", str(TEXTS), "--length", ",".join(map(str, LENGTHS)), "--no-chat", "--no-keep", "--workers", "1"]
    subprocess.run([NAMM, "calibrate", "--model", MODEL, "--output", tmp_path / "cpp", *settings], check=True, capture_output=True)
    policy = namm.calibrate(model, tokenizer, tmp_path / "python", texts=TEXTS, lengths=LENGTHS, chat_template=False, progress=False)
    of_cpp = json.loads((tmp_path / "cpp" / "calibration.json").read_text())
    assert policy.penalty == of_cpp["penalty"]
    assert policy.explained == pytest.approx(of_cpp["explained"], abs=5e-4)
    assert policy.explained_by_layer == pytest.approx(of_cpp["explained_by_layer"], abs=5e-3)
    evenness = json.loads(policy.json)["evenness"]
    assert evenness == pytest.approx(of_cpp["evenness"], abs=5e-3) and 0.5 < max(evenness) < 1
    cpp, python = (json.loads((tmp_path / name / "policy.json").read_text())["policy"]["probe"]["layers"] for name in ("cpp", "python"))
    for one, other in zip(cpp, python, strict=True):
        for key in ("weights", "square_weights", "square_centre", "square_scale"):
            difference = np.linalg.norm(np.subtract(one[key], other[key])) / np.linalg.norm(one[key])
            assert difference < 0.01, f"layer {one['layer']}, {key}: {difference}"
    text = (Path(__file__).parents[2] / "docs" / "policies.md").read_text()[:5000]
    ids, kept = tokenizer(text, return_tensors="pt")["input_ids"], []
    for name in ("cpp", "python"):
        with namm.attach(model, str(tmp_path / name), budget=0.25) as memory, torch.no_grad():
            model(input_ids=ids, logits_to_keep=1)
        heads = [(layer, head) for layer in memory.shape.attention_layers for head in range(memory.shape.kv_heads)]
        kept.append({(layer, head, position) for layer, head in heads for position in memory.positions(layer, head)})
    assert len(kept[0]) == len(kept[1]) and len(kept[0] & kept[1]) >= 0.995 * len(kept[0])


# -- two evolutions --------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not NAMM, reason="NAMM_PROGRAM is not set")
def test_the_same_evolution(model, tmp_path):
    """Prompts, candidates and their order are the same; values differ by the rounding of llama.cpp's F16 cache."""
    path = Path(MODEL)
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    both = dict(population=4, generations=2, prompts=2, validation=2, interval=64, seed=3)
    words = [word for name, value in both.items() for word in (f"--{name}", str(value))]
    words += ["--tasks", "passkey,text", "--length", "128", "--budget", "25%", "--validate-every", "1", "--no-chat", "--workers", "1"]
    subprocess.run([NAMM, "evolve", "--model", MODEL, "--output", tmp_path / "cpp", *words], check=True, capture_output=True)
    policy = namm.evolve(
        model, tokenizer, tasks=["passkey", "text"], lengths=[128], budget=0.25, validate_every=1, chat_template=False, progress=False, **both
    )
    of_cpp = [json.loads(line) for line in (tmp_path / "cpp" / "log.jsonl").read_text().splitlines()]
    for ours, cpp in zip(policy.history, of_cpp, strict=True):
        assert ours["step_size"] == cpp["step_size"]  # follows from the order of the candidates
        for part in ("validation", "fitness"):
            for name in ("mean", "best", "candidate"):
                if name in cpp.get(part, {}):
                    assert ours[part][name] == pytest.approx(cpp[part][name], abs=0.02), f"{part} {name} of generation {cpp['generation']}"
    assert policy.best_generation == json.loads((tmp_path / "cpp" / "policy.json").read_text())["provenance"]["best_generation"]
    np.testing.assert_allclose(policy.parameters, namm.Policy(str(tmp_path / "cpp")).parameters, rtol=0, atol=1e-5)
