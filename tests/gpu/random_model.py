#!/usr/bin/env python3
"""Writes a model of the shape of Llama 3.1 8B with random weights (Q4_0, 4.7 GB), and a calibrated policy of random weights for it:
what rates and memory are measured with where no real model can be had. What it says means nothing.

    python3 tests/gpu/random_model.py --model /dev/shm/random-8b.gguf --policy /dev/shm/random-probe.json

Needs numpy and llama.cpp's gguf (`pip install gguf`)."""
import argparse
import json

import gguf
import numpy


def blocks(draw, rows, columns, deviation):
    """[rows][columns] in Q4_0: 32 numbers of 4 bits under a scale of 16."""
    out = draw.integers(0, 256, size=(rows, columns // 32, 18), dtype=numpy.uint8)
    scale = numpy.array([deviation / 4.6], dtype=numpy.float16)  # numbers of -8 to 7: a deviation of 4.6
    out[:, :, :2] = scale.view(numpy.uint8)
    return out.reshape(rows, columns // 32 * 18)


def write_model(path, a):
    draw = numpy.random.default_rng(a.seed)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(131072)
    writer.add_embedding_length(a.width)
    writer.add_block_count(a.layers)
    writer.add_feed_forward_length(a.feed_forward)
    writer.add_head_count(a.heads)
    writer.add_head_count_kv(a.kv_heads)
    writer.add_rope_dimension_count(a.width // a.heads)
    writer.add_rope_freq_base(500000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(a.vocabulary)
    writer.add_tokenizer_model("none")

    def matrix(name, rows, columns):
        writer.add_tensor(name, blocks(draw, rows, columns, columns**-0.5), raw_dtype=gguf.GGMLQuantizationType.Q4_0)

    def norm(name):
        writer.add_tensor(name, numpy.ones(a.width, dtype=numpy.float32))

    key_width = a.width // a.heads * a.kv_heads
    matrix("token_embd.weight", a.vocabulary, a.width)
    for layer in range(a.layers):
        block = f"blk.{layer}."
        norm(block + "attn_norm.weight")
        matrix(block + "attn_q.weight", a.width, a.width)
        matrix(block + "attn_k.weight", key_width, a.width)
        matrix(block + "attn_v.weight", key_width, a.width)
        matrix(block + "attn_output.weight", a.width, a.width)
        norm(block + "ffn_norm.weight")
        matrix(block + "ffn_gate.weight", a.feed_forward, a.width)
        matrix(block + "ffn_up.weight", a.feed_forward, a.width)
        matrix(block + "ffn_down.weight", a.width, a.feed_forward)
    norm("output_norm.weight")
    matrix("output.weight", a.vocabulary, a.width)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_policy(path, a):
    draw = numpy.random.default_rng(a.seed + 1)
    size = a.width // a.heads
    inputs = 2 * size * a.kv_heads

    def numbers(count, deviation):
        return [round(float(x), 4) for x in draw.normal(0, deviation, count)]

    layers = [
        {
            "layer": layer,
            "kv_heads": a.kv_heads,
            "key_size": size,
            "value_size": size,
            "weights": numbers(a.kv_heads * (inputs + 1), 0.1),
            "square_centre": numbers(inputs, 0.1),
            "square_scale": [1.0] * inputs,
            "square_weights": numbers(a.kv_heads * inputs, 0.1),
        }
        for layer in range(a.layers)
    ]
    policy = {
        "format": "namm-policy",
        "version": 1,
        "kind": "key-probe",
        "interval_tokens": 512,
        "policy": {"probe": {"input": "layer", "layers": layers}, "recency": 2.0, "evenness": [0.5] * sum(layer["kv_heads"] for layer in layers)},
        "selection": {"budget": "25%", "mode": "uniform", "recent": 16, "sinks": 4},
        "spectrogram": {"decay": 0.99, "fft_size": 32, "hop": 16},
    }
    with open(path, "w") as file:
        json.dump(policy, file)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="the GGUF file to write")
    parser.add_argument("--policy", help="the policy file to write")
    for name, value in dict(layers=32, width=4096, heads=32, kv_heads=8, feed_forward=14336, vocabulary=128256, seed=1).items():
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=value, help=f"default: {value}")
    arguments = parser.parse_args()
    write_model(arguments.model, arguments)
    if arguments.policy:
        write_policy(arguments.policy, arguments)


if __name__ == "__main__":
    main()
