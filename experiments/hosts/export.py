"""Writes a checkpoint as a GGUF file that llama.cpp loads as architecture `jamba`."""

import argparse
import hashlib
import json
from pathlib import Path

import gguf
import numpy as np

import data
import evaluate
import model as model_module

CONTEXT = 4096  # stated in the file; the model has no positions, so nothing in it ends there


def half(t):
    return t.detach().numpy().astype(np.float16)


def full(t):
    return t.detach().numpy().astype(np.float32)


def mixer_tensors(mixer):
    """(name inside the block, array) of an attention or Mamba mixer."""
    if isinstance(mixer, model_module.Attention):
        for name, linear in (("attn_q", mixer.q), ("attn_k", mixer.k), ("attn_v", mixer.v),
                             ("attn_output", mixer.out)):
            yield f"{name}.weight", half(linear.weight)
        return
    yield "ssm_in.weight", np.concatenate([half(mixer.in_x.weight), half(mixer.in_z.weight)])
    yield "ssm_conv1d.weight", full(mixer.conv_weight)
    yield "ssm_conv1d.bias", full(mixer.conv_bias)
    yield "ssm_x.weight", half(mixer.packed.weight)
    yield "ssm_dt_norm.weight", np.ones(mixer.s.rank, np.float32)
    yield "ssm_b_norm.weight", full(mixer.b_norm)
    yield "ssm_c_norm.weight", full(mixer.c_norm)
    # float32: 2,048 numbers, and every state's lifetime hangs on them
    yield "ssm_dt.weight", full(mixer.dt_weight)
    yield "ssm_dt.bias", full(mixer.dt_bias)
    yield "ssm_a", full(-mixer.a_log.exp())
    yield "ssm_d", full(mixer.skip)
    yield "ssm_out.weight", half(mixer.out.weight)


def add_tokenizer(writer, tokenizer):
    vocabulary = tokenizer.get_vocab()
    tokens = sorted(vocabulary, key=vocabulary.get)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    special = (data.BOS, data.EOS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if t in special else gguf.TokenType.NORMAL for t in tokens])
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    writer.add_bos_token_id(vocabulary[data.BOS])
    writer.add_eos_token_id(vocabulary[data.EOS])
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)


def write(model, tokenizer, path, name="jamba-recall"):
    s = model.s
    writer = gguf.GGUFWriter(str(path), "jamba")
    writer.add_name(name)
    writer.add_description("Tiny Mamba-attention hybrid for recall over prose; host model of the NAMM toolkit")
    writer.add_block_count(s.layers)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(s.width)
    writer.add_feed_forward_length(s.feed_forward)
    writer.add_head_count(s.heads)
    writer.add_head_count_kv([s.kv_heads if i == s.attention else 0 for i in range(s.layers)])
    writer.add_ssm_conv_kernel(s.taps)
    writer.add_ssm_inner_size(s.inner)
    writer.add_ssm_state_size(s.state)
    writer.add_ssm_time_step_rank(s.rank)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(s.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    add_tokenizer(writer, tokenizer)
    writer.add_tensor("token_embd.weight", half(model.embedding))  # also the output matrix
    writer.add_tensor("output_norm.weight", full(model.norm))
    for i, layer in enumerate(model.layers):
        writer.add_tensor(f"blk.{i}.attn_norm.weight", full(layer.norm))
        for name, array in mixer_tensors(layer.mixer):
            writer.add_tensor(f"blk.{i}.{name}", array)
        writer.add_tensor(f"blk.{i}.ffn_norm.weight", full(layer.ffn_norm))
        for name in ("gate", "up", "down"):
            writer.add_tensor(f"blk.{i}.ffn_{name}.weight", half(getattr(layer, name).weight))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("gguf", type=Path)
    args = parser.parse_args()
    model, tokenizer, state = evaluate.load(args.checkpoint)
    write(model, tokenizer, args.gguf)
    content = args.gguf.read_bytes()
    print(json.dumps({"step": state["step"], "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}))


if __name__ == "__main__":
    main()
