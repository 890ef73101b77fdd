"""Evolution on small models: what is found is better on prompts it never saw and gives memory back; a run that was stopped goes on."""

import copy
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import namm
import numpy as np
import pytest
import torch
from conftest import NAMES, Characters
from namm import _core
from recalling import WORDS, answer_likelihood, recall_prompts, recalling_model

MEMORY = dict(budget=0.25, interval=64, sinks=2, recent=8)
QUICK = dict(**MEMORY, tasks="passkey", lengths=[200], prompts=2, validation=2, validate_every=2, population=4, generations=2, progress=False)
FILES = ["checkpoint.json", "log.jsonl", "policy.json"]


@pytest.fixture(scope="module")
def recalling():
    return recalling_model()


def contents(folder):
    return {name: (folder / name).read_bytes() for name in FILES}


class Stop:
    """Raises in a forward pass, once: `after` so many."""

    def __init__(self, model, after, error):
        self.left, self.error = after, error
        self.hook = model.model.embed_tokens.register_forward_hook(self.count)

    def count(self, *args):
        self.left -= 1
        if self.left == 0:
            raise self.error("on purpose")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.hook.remove()


# -- what is found ---------------------------------------------------------------------------------------------------------------


def test_what_is_found_is_better_on_prompts_that_it_never_saw(recalling, tokenizer):
    policy = namm.evolve(
        recalling, tokenizer, **MEMORY, tasks="passkey", lengths=[200, 300], prompts=3, validation=4, generations=6, validate_every=3, progress=False
    )
    assert policy.validation > policy.start_validation + 0.5 and policy.best_generation > 0
    start = namm.Policy("streaming")  # what zero weights do: sinks and the newest
    for prompt in recall_prompts(6, seed=5):
        full, held = answer_likelihood(recalling, "full", prompt)
        evolved, used = answer_likelihood(recalling, policy, prompt, **MEMORY)
        begun, _ = answer_likelihood(recalling, start, prompt, **MEMORY)
        assert held.entries == held.entries_full
        assert begun < full - 0.8 and evolved > full - 0.3
        # an update at 256 tokens or behind the context: a quarter of what was seen then, and what came since
        assert used.entries <= 2 * (used.tokens_seen // 4 + 64) < used.entries_full
        assert used.kv_bytes == used.entries * 2 * 16 * 4 and used.physical_saving > 0.3


def test_the_fitness_is_what_a_computation_of_its_own_gives(recalling, tokenizer):
    """Of five documents one validates."""
    prompts = recall_prompts(5, seed=1)
    run = dict(**MEMORY, data=prompts, validation=1, generations=0, progress=False)
    policy = namm.evolve(recalling, tokenizer, policy="default", **run)
    losses = []
    for prompt in prompts:
        full, _ = answer_likelihood(recalling, "full", prompt)
        pruned, _ = answer_likelihood(recalling, "default", prompt, **MEMORY)
        losses.append(pruned - full)
    assert min(abs(policy.start_validation - loss) for loss in losses) < 1e-4, (policy.start_validation, losses)
    assert policy.generations == 0 and policy.name == namm.Policy("default").name


@pytest.mark.parametrize("fitness", ["task-score", "fidelity"])
def test_other_fitnesses(fitness, recalling, tokenizer):
    policy = namm.evolve(recalling, tokenizer, fitness=fitness, **QUICK)
    assert policy.provenance["fitness"] == fitness
    assert all(math.isfinite(line["fitness"]["best"]) for line in policy.history[1:])
    if fitness == "fidelity":
        assert policy.start_validation < 0  # dropping changes the predictions


# -- files -----------------------------------------------------------------------------------------------------------------------


def test_the_folder_holds_what_the_program_writes(recalling, tokenizer, tmp_path, capsys):
    seen = []
    policy = namm.evolve(recalling, tokenizer, str(tmp_path / "run"), on_generation=seen.append, **{**QUICK, "progress": True})
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == sorted([*FILES, "run.json", "timing.jsonl"])
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert lines == policy.history == seen and [line["generation"] for line in lines] == [0, 1, 2]
    assert isinstance(policy, namm.Policy) and policy.name == "linear" and policy.budget == "25%" and policy.interval == 64
    assert namm.Policy(str(tmp_path / "run")).json == policy.json
    assert policy.end == "generations" and policy.generations == 2 and policy.validation >= policy.start_validation
    provenance = json.loads((tmp_path / "run" / "policy.json").read_text())["provenance"]
    assert provenance == policy.provenance and provenance["model"] == "LlamaForCausalLM" and provenance["architecture"] == "llama"
    assert "transformers" in provenance["runtime"] and provenance["strategy"] == "cma" and provenance["date"]
    in_force = json.loads((tmp_path / "run" / "run.json").read_text())
    assert in_force["features"] == "light" and in_force["budget"] == ["25%"] and in_force["step_size"] == 0.3 and in_force["isa"]
    said = capsys.readouterr().err
    assert "start  validation" in said and "generation 2  best" in said and "done after 2 generations" in said
    policy.save(tmp_path / "copy.json")
    assert json.loads((tmp_path / "copy.json").read_text())["provenance"] == provenance


def test_the_same_arguments_write_the_same_bytes(recalling, tokenizer, tmp_path):
    for name, seed in [("a", 1), ("b", 1), ("c", 2)]:
        namm.evolve(recalling, tokenizer, tmp_path / name, seed=seed, **QUICK)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a")["log.jsonl"] != contents(tmp_path / "c")["log.jsonl"]


def test_several_budgets_have_a_policy_each(recalling, tokenizer, tmp_path):
    policy = namm.evolve(recalling, tokenizer, tmp_path / "run", **{**QUICK, "budget": [0.5, "25%"], "sinks": 1, "recent": 4})
    assert policy.budget == "50%" and (tmp_path / "run" / "policy-50.json").exists()
    assert namm.Policy(str(tmp_path / "run" / "policy-25.json")).budget == "25%"
    assert [one["budget"] for one in policy.history[0]["front"]] == ["50%", "25%"]


# -- where it begins -------------------------------------------------------------------------------------------------------------


def test_a_new_network_gathers_its_normalisation(recalling, tokenizer):
    policy = namm.evolve(recalling, tokenizer, policy="namm-mlp", features="extended", **QUICK)
    normalisation = json.loads(policy.json)["normalisation"]
    assert policy.name == "namm-mlp" and np.ptp(normalisation["mean"]) > 0.1 and min(normalisation["variance"]) >= 0


def test_a_calibrated_policy_evolves_on(recalling, tokenizer, tmp_path):
    probe = namm.calibrate(recalling, tokenizer, texts=4, lengths=[96], progress=False)
    policy = namm.evolve(recalling, tokenizer, tmp_path / "run", policy=probe, **{**QUICK, "generations": 4})
    assert policy.name == "key-probe" and policy.mode == "pooled" and len(policy.parameters) == 2  # an offset per KV head
    assert json.loads(policy.json)["probe"] == json.loads(probe.json)["probe"]
    again = namm.evolve(recalling, tokenizer, policy=str(tmp_path / "run"), **{**QUICK, "generations": 0})
    np.testing.assert_array_equal(again.parameters, policy.parameters)
    assert again.start_validation == policy.validation  # the same prompts


@pytest.mark.parametrize("name", NAMES)
def test_models(name, make_model, tokenizer):
    model = make_model(name)
    few = {"generations": 1, "validate_every": 1, "prompts": 1, "validation": 1, "lengths": [130]}  # Jamba reads answers token by token
    policy = namm.evolve(model, tokenizer, **{**QUICK, **few})
    assert math.isfinite(policy.start_validation) and math.isfinite(policy.history[1]["fitness"]["mean"])
    with namm.attach(model, policy, **MEMORY) as memory, torch.no_grad():
        model(input_ids=torch.randint(2, 97, (1, 256), generator=torch.Generator().manual_seed(1)))
    full = [layer for layer, window in memory.shape.attention_layers.items() if not window]
    assert all(len(memory.positions(layer, head)) == 64 for layer in full for head in range(memory.shape.kv_heads))


def test_half_precision(recalling, tokenizer):
    policy = namm.evolve(copy.deepcopy(recalling).to(torch.bfloat16), tokenizer, **QUICK)
    assert policy.provenance["dtype"] == "bfloat16" and math.isfinite(policy.validation)


# -- prompts of one's own --------------------------------------------------------------------------------------------------------


def test_texts_of_ones_own_are_continued(recalling, tokenizer, tmp_path):
    texts = [" ".join(WORDS[i:] + WORDS[:i] + WORDS[::-1]) * 3 for i in range(6)]
    run = {key: value for key, value in QUICK.items() if key != "tasks"}
    of_list = namm.evolve(recalling, tokenizer, tmp_path / "list", data=texts, **run)
    (tmp_path / "data.jsonl").write_text("".join(json.dumps({"context": text}) + "\n" for text in texts))
    namm.evolve(recalling, tokenizer, tmp_path / "file", data=tmp_path / "data.jsonl", **run)
    assert contents(tmp_path / "list") == contents(tmp_path / "file")
    assert of_list.provenance["tasks"] == ["data"] and of_list.provenance["sources"]["data"].endswith(", split by context")
    one = namm.evolve(recalling, tokenizer, data=[" ".join(WORDS * 20)], **run)  # cut into three parts
    assert math.isfinite(one.validation)


def test_questions_of_ones_own(recalling, tokenizer):
    run = {key: value for key, value in QUICK.items() if key not in ("tasks", "lengths", "prompts", "validation")}
    policy = namm.evolve(recalling, tokenizer, data=recall_prompts(10, seed=2), **run)
    assert policy.provenance["lengths_tokens"] == [0] and policy.provenance["validation_prompts"] == 2  # of ten
    with pytest.raises(ValueError, match="validation: must be at most the 2 different"):
        namm.evolve(recalling, tokenizer, data=recall_prompts(10, seed=2), validation=3, **run)


# -- stopped and gone on with ----------------------------------------------------------------------------------------------------


def test_a_longer_run_is_gone_on_with(recalling, tokenizer, tmp_path):
    namm.evolve(recalling, tokenizer, tmp_path / "whole", **{**QUICK, "generations": 5})
    namm.evolve(recalling, tokenizer, tmp_path / "parts", **{**QUICK, "generations": 3})  # ends between two validations
    policy = namm.evolve(recalling, tokenizer, tmp_path / "parts", resume=True, **{**QUICK, "generations": 5})
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole") and policy.generations == 5


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError], ids=["ctrl-c", "error"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_what_is_stopped_is_gone_on_with(error, share, tokenizer, tmp_path, capsys):
    model = recalling_model().train()
    with Stop(model, -1, error) as passes:
        namm.evolve(model, tokenizer, tmp_path / "whole", **QUICK)
    with Stop(model, int(-passes.left * share), error), pytest.raises(error, match="on purpose"):
        namm.evolve(model, tokenizer, tmp_path / "stopped", **{**QUICK, "progress": True})
    said = capsys.readouterr().err
    assert ("resume=True goes on" in said) == (error is KeyboardInterrupt)
    assert namm.Policy(str(tmp_path / "stopped")).name == "linear"  # what there was
    assert model.training and "forward" not in model.__dict__ and "Traceback" not in said
    namm.evolve(model, tokenizer, tmp_path / "stopped", resume=True, **QUICK)
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")


def test_what_is_stopped_before_the_start_is_validated_leaves_nothing(tokenizer, tmp_path, capsys):
    model = recalling_model()
    with Stop(model, 2, KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        namm.evolve(model, tokenizer, tmp_path / "run", **{**QUICK, "progress": True})
    assert not (tmp_path / "run").exists() and "nothing is written" in capsys.readouterr().err
    namm.evolve(model, tokenizer, tmp_path / "run", **QUICK)


def test_ctrl_c_while_prompts_are_made_and_in_what_is_called_back(recalling, tmp_path):
    class Interrupted(Characters):
        calls = 0

        def __call__(self, *args, **kwargs):
            self.calls += 1
            if self.calls == 30:
                raise KeyboardInterrupt
            return super().__call__(*args, **kwargs)

    with pytest.raises(KeyboardInterrupt):
        namm.evolve(recalling, Interrupted(), tmp_path / "run", **QUICK)

    def interrupt(line):
        if line["generation"] == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        namm.evolve(recalling, Characters(), tmp_path / "run", on_generation=interrupt, **QUICK)
    assert len((tmp_path / "run" / "log.jsonl").read_text().splitlines()) == 2
    namm.evolve(recalling, Characters(), tmp_path / "whole", **QUICK)
    namm.evolve(recalling, Characters(), tmp_path / "run", resume=True, **QUICK)
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_ctrl_c_on_the_keyboard(tmp_path):
    """A process of its own, and the signal."""
    code = """
import namm, signal, sys
from conftest import Characters
from recalling import recalling_model
from test_evolve import QUICK
signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs the tests in a shell's background ignores it
namm.evolve(recalling_model(), Characters(), sys.argv[1], **{**QUICK, "generations": 8, "progress": True}, resume=len(sys.argv) > 2)
"""
    here = {"cwd": Path(__file__).parent, "stderr": subprocess.PIPE, "text": True, "env": {**os.environ, "OMP_NUM_THREADS": "1"}}
    call = [sys.executable, "-c", code]
    subprocess.run([*call, tmp_path / "whole"], check=True, **here)
    with subprocess.Popen([*call, tmp_path / "run"], **here) as process:
        for line in process.stderr:
            if "generation 3 " in line:
                process.send_signal(signal.SIGINT)
                break
        said = process.stderr.read()
        assert process.wait() != 0 and "resume=True goes on" in said and said.rstrip().endswith("KeyboardInterrupt")
    assert 4 <= len((tmp_path / "run" / "log.jsonl").read_text().splitlines()) < 9
    assert json.loads((tmp_path / "run" / "policy.json").read_text())["provenance"]["generations"] < 8
    subprocess.run([*call, tmp_path / "run", "again"], check=True, **here)
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_what_is_called_back_may_fail(recalling, tokenizer, tmp_path):
    with pytest.raises(ZeroDivisionError):
        namm.evolve(recalling, tokenizer, tmp_path / "run", on_generation=lambda line: 1 / line["generation"], **QUICK)
    assert (tmp_path / "run" / "checkpoint.json").exists()


def test_a_run_goes_on_only_as_it_was(recalling, make_model, tokenizer, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    with pytest.raises(ValueError, match="must hold a checkpoint.json"):
        namm.evolve(recalling, tokenizer, folder, resume=True, **QUICK)
    namm.evolve(recalling, tokenizer, folder, **QUICK)
    before = contents(folder)
    with pytest.raises(ValueError, match="another run, has a checkpoint.json; resume=True"):
        namm.evolve(recalling, tokenizer, folder, **QUICK)
    with pytest.raises(RuntimeError, match="setting 'seed'"):
        namm.evolve(recalling, tokenizer, folder, resume=True, seed=2, **QUICK)
    with pytest.raises(RuntimeError, match="setting 'weights'"):
        other = copy.deepcopy(recalling)
        with torch.no_grad():
            other.lm_head.weight.mul_(2)
        namm.evolve(other, tokenizer, folder, resume=True, **QUICK)
    monkeypatch.setattr("namm._run.isa_name", lambda: "some-other")
    with pytest.raises(RuntimeError, match="instruction set.*NAMM_ISA="):
        namm.evolve(recalling, tokenizer, folder, resume=True, **QUICK)
    monkeypatch.undo()
    (folder / "checkpoint.json").write_bytes(before["checkpoint.json"][:-100])
    with pytest.raises(RuntimeError, match="checkpoint") as raised:
        namm.evolve(recalling, tokenizer, folder, resume=True, **QUICK)
    assert "\n" not in str(raised.value)


def test_ends_of_a_run(recalling, tokenizer):
    run = {**QUICK, "generations": 20, "validate_every": 1}
    assert namm.evolve(recalling, tokenizer, stop_at=-100.0, **run).end == "target"
    assert namm.evolve(recalling, tokenizer, stop_after_minutes=1e-9, **run).end == "minutes"
    flat = namm.evolve(recalling, tokenizer, stop_stagnant=1, **{**run, "budget": 0.999})  # nothing is lost, nothing to gain
    assert flat.end == "stagnation" and flat.generations < 20


# -- what goes wrong -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings, reason",
    [
        (dict(policy="h2o"), "must have parameters to evolve"),
        (dict(policy="linaer"), "linear"),
        (dict(policy="default", features="light"), "features: must be left out"),
        (dict(features="lihgt"), "light"),
        (dict(budget=[]), "budget: must be at least one"),
        (dict(budget=25.0), "budget: a share"),
        (dict(budget=8), "protected tokens"),
        (dict(mode="pool"), "pooled"),
        (dict(interval=0), "interval"),
        (dict(tasks="paskey"), "passkey"),
        (dict(tasks=[]), "tasks: must be at least one"),
        (dict(data=["a text"]), "choose one"),
        (dict(tasks="basic", data=[7]), "number 0 is a int"),
        (dict(tasks="basic", data={"context": "a"}), r"is a dict; give \[...\]"),
        (dict(tasks="basic", data=7), "is a int"),
        (dict(tasks="basic", data=[{"context": {1}}]), "number 0 is not"),
        (dict(tasks="basic", data=[]), "data.jsonl"),
        (dict(tasks=[7]), "tasks: must be"),
        (dict(tasks="basic", data=[{"context": "a", "question": "b"}]), "^data.jsonl:1"),
        (dict(tasks="basic", data=["one text " * 20, "another " * 20]), "at least 4 contexts.*holds 2"),
        (dict(lengths=[]), "lengths: must be at least one"),
        (dict(lengths=[31]), "lengths: must be a whole number from 32"),
        (dict(lengths=[5000]), "4096 tokens"),
        (dict(fitness="semi-live"), "fitness: must be"),
        (dict(strategy="cmaes"), "strategy: must be auto or one of"),
        (dict(population=1), "population: must be"),
        (dict(step_size=0), "step_size: must be"),
        (dict(generations=-1), "generations: must be"),
        (dict(prompts=0), "prompts: must be"),
        (dict(training_pool=1), "training_pool: must be 0"),
        (dict(validation=0), "validation: must be"),
        (dict(validate_every=0), "validate_every: must be"),
        (dict(stop_at=math.nan), "stop_at: must be"),
        (dict(stop_stagnant=-1), "stop_stagnant: must be"),
        (dict(stop_after_minutes=-1), "stop_after_minutes: must be"),
        (dict(seed=-1), "seed: must be"),
    ],
)
def test_wrong_arguments(settings, reason, recalling, tokenizer, tmp_path):
    with pytest.raises(ValueError, match=reason) as raised:
        namm.evolve(recalling, tokenizer, tmp_path / "run", **{**QUICK, **settings})
    assert "\n" not in str(raised.value) and not (tmp_path / "run").exists()


def test_resuming_needs_a_folder(recalling, tokenizer):
    with pytest.raises(ValueError, match="resume: must be given with output"):
        namm.evolve(recalling, tokenizer, resume=True, **QUICK)


def test_prompts_longer_than_the_model_was_made_for(tokenizer, tmp_path):
    model = recalling_model()
    model.config.max_position_embeddings = 210  # the context alone fits
    with pytest.raises(RuntimeError, match="within the 210 tokens.*shorter lengths"):
        namm.evolve(model, tokenizer, tmp_path / "run", **QUICK)
    assert not (tmp_path / "run").exists()


def test_numbers_that_are_none_are_refused(tokenizer, tmp_path):
    model = recalling_model()
    with torch.no_grad():
        model.lm_head.weight.fill_(math.nan)
    with pytest.raises(RuntimeError, match="finite logits"):
        namm.evolve(model, tokenizer, tmp_path / "run", **QUICK)


def test_a_host_that_gives_something_else_is_refused(tokenizer, tmp_path):
    class Host:
        name = architecture = "mine"
        all_layers = query_heads = 1
        train_context, bytes_per_number, layers, turn, ends = 0, 4.0, [(0, 1, 4, 4, 0)], ("", ""), []
        tokenize = staticmethod(lambda text, special, template: tokenizer(text, special)["input_ids"])
        reset = staticmethod(lambda policy: None)
        update = staticmethod(lambda: None)
        detokenize = tokenizer.decode
        evaluate = staticmethod(lambda tokens, every: np.zeros((2, 97), np.float32))

    settings = _core.EvolutionSettings()
    settings.set_start(_core.new_policy("linear", "light"), True)
    settings.set_budgets(["25%"])
    settings.set_tasks(["passkey"])
    settings.output = tmp_path / "run"
    settings.complete()
    with pytest.raises(RuntimeError, match=r"\[1\]\[vocabulary\], gives \[2\]\[97\]"):
        _core.evolve(settings, Host(), lambda *of: None, print, lambda: None)
