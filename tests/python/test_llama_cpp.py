"""The same model read by llama.cpp with our adapter: the same tokens stay, but for those whose scores differ by less than the
rounding of llama.cpp's F16 cache.

Needs NAMM_KEPT_POSITIONS (build/release/tests/llama/namm_kept_positions), NAMM_TEST_MODEL (a GGUF of floats, SmolLM2 for example;
quantised weights are multiplied in other ways by the two) and, for a calibrated policy, NAMM_TEST_POLICY; the packages gguf and
accelerate. Skipped where they are missing.
"""

import json
import os
import subprocess
from pathlib import Path

import namm
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
