#!/bin/sh
# Trains, exports and measures the recall host: reproduce.sh NAMM OUTPUT_FOLDER
# NAMM is the built `namm` program. Needs the packages of requirements.txt and a C++ compiler.
# An interrupted run continues when called again with the same folder.
set -eu
namm=$1
output=$2
here=$(dirname "$0")
mkdir -p "$output"

# Before there is a tokenizer, length is counted in characters: one token of this model is about 2.6 of them.
train_prompts() { # task length count
    "$namm" prompts --task "$1" --length $(($2 * 26 / 10)) --counter chars --split train --seed 11 --count "$3"
}
for length in 128 250 500 1000 1500; do
    file=$output/train-$length.jsonl
    [ -s "$file" ] && continue
    train_prompts kv-recall $length 3000 >"$file.partial"
    train_prompts niah-single $length 1000 >>"$file.partial"
    train_prompts passkey $length 700 >>"$file.partial"
    mv "$file.partial" "$file"
done

# Waiting threads sleep: on a busy machine spinning ones cost more than they save.
OMP_WAIT_POLICY=PASSIVE
export OMP_WAIT_POLICY
python "$here/train.py" --output "$output" --prompts "$output"/train-*.jsonl
python "$here/export.py" "$output/checkpoint.pt" "$output/jamba-recall.gguf"

for length in 250 500 1000 1500 2000; do
    for task in kv-recall niah-single passkey; do
        "$namm" prompts --model "$output/jamba-recall.gguf" --task $task --length $length --split test --seed 7 \
            --count 100 >"$output/test-$task-$length.jsonl"
    done
done
python "$here/evaluate.py" "$output/checkpoint.pt" --half --prompts "$output/test-{task}-{length}.jsonl" \
    --json "$output/accuracy.json"
python "$here/record.py" "$output" "$output/jamba-recall.gguf" "$output/jamba-recall.json"
