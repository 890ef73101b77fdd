"""The examples run as they stand."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "python").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_example(path):
    # one thread: on a busy machine the two OpenMP runtimes, torch's and ours, wait for each other's cores
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() and "Traceback" not in done.stderr


def test_notebook(monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(EXAMPLES[0].parent / "first_steps.ipynb", as_version=4)
    stored = [bool(cell.outputs) for cell in notebook.cells if cell.cell_type == "code"]
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()  # raises what a cell raises
    said = "".join(output.get("text", "") for output in notebook.cells[-2].outputs)
    assert all(stored) and "generation 2" in said and "nat on the text above" in said


def test_the_lines_of_the_readme():
    import namm
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    readme = (Path(__file__).parents[2] / "README.md").read_text()
    code = readme.split("```python\n")[1].split("```")[0]
    settings = LlamaConfig(vocab_size=97, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4)
    names = {"model": AutoModelForCausalLM.from_config(settings), "inputs": {"input_ids": torch.randint(2, 97, (1, 600))}}
    exec(code, names)
    assert isinstance(names["memory"], namm.Memory) and names["memory"].usage().updates == 1
