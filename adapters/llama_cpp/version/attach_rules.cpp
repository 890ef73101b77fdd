// The table of common/arg.cpp as far as a policy is concerned. `tests/preload/server_help_test.cpp` compares it with the help of
// a built llama-server: a flag for speculation that is neither refused here nor listed there as harmless fails it.
#include "adapters/llama_cpp/version/attach_rules.hpp"

#include <algorithm>

namespace namm::preload {
namespace {

using Words = Rule::Words;

constexpr unsigned kCommon = kServer | kCli | kCompletion | kOther;
constexpr std::string_view kDrafts = "drafted tokens are taken back, evicted ones are not";
constexpr std::string_view kMoved = "cached keys cannot be moved to other positions";
constexpr std::string_view kHost = "the policy's cache lives in host memory";

const Words kOn = {"on", "1", "true", "enabled"};
const Words kTypes = {"f16", "f32", "bf16", "q8_0"};
const Words kOff = {"off", "0", "false", "disabled"};

const Rule kRules[] = {
    {kCommon | kBench,
     {"-fa", "--flash-attn"},
     "LLAMA_ARG_FLASH_ATTN",
     true,
     kOn,
     {"-fa", "on"},
     "the policy's attention takes the place of flash attention"},
    {kCommon | kBench, {"-ctk", "--cache-type-k"}, "LLAMA_ARG_CACHE_TYPE_K", true, kTypes, {}, "keys are held as f16"},
    {kCommon | kBench, {"-ctv", "--cache-type-v"}, "LLAMA_ARG_CACHE_TYPE_V", true, kTypes, {}, "values are held as f16"},
    {kCommon, {"-kvo", "--kv-offload"}, "", false, {}, {}, kHost, false},
    {kCommon,
     {"-nkvo", "--no-kv-offload"},
     "LLAMA_ARG_KV_OFFLOAD",
     false,
     {"any", "off", "0", "false", "disabled"},
     {"-nkvo"},
     kHost,
     false},
    {kBench, {"-nkvo", "--no-kv-offload"}, "", true, {"1"}, {"-nkvo", "1"}, kHost, false},
    {kServer | kCli | kCompletion, {"--context-shift"}, "LLAMA_ARG_CONTEXT_SHIFT", false, kOff, {}, kMoved},
    {kServer | kCli,
     {"-ctxcp", "--ctx-checkpoints", "--swa-checkpoints"},
     "LLAMA_ARG_CTX_CHECKPOINTS",
     true,
     {"0"},
     {"-ctxcp", "0"},
     "checkpoints are a part of a state, the policy's cache is saved as a whole"},
    {kServer, {"--cache-reuse"}, "LLAMA_ARG_CACHE_REUSE", true, {"0"}, {}, kMoved},
    {kCompletion, {"-gan", "--grp-attn-n"}, "LLAMA_ARG_GRP_ATTN_N", true, {"1"}, {}, kMoved},
    // speculation: everything that switches it on; what only tunes it is left alone
    {kServer | kCli, {"--spec-type"}, "LLAMA_ARG_SPEC_TYPE", true, {"none"}, {}, kDrafts},
    {kServer | kCli, {"--spec-default"}, "", false, {}, {}, kDrafts},
    {kServer | kCli, {"-md", "--model-draft", "--spec-draft-model"}, "LLAMA_ARG_SPEC_DRAFT_MODEL", true, {}, {}, kDrafts},
    {kServer | kCli,
     {"-hfd", "-hfrd", "--hf-repo-draft", "--spec-draft-hf"},
     "LLAMA_ARG_SPEC_DRAFT_HF_REPO",
     true,
     {},
     {},
     kDrafts},
    {kServer, {"--fim-qwen-7b-spec", "--fim-qwen-14b-spec"}, "", false, {}, {}, kDrafts},
};

}  // namespace

std::span<const Rule> attach_rules() {
  return kRules;
}

std::string flag_name(std::string_view word) {
  if (!word.starts_with("--")) return std::string(word);
  std::string out(word.substr(0, word.find('=')));
  std::replace(out.begin(), out.end(), '_', '-');
  return out;
}

}  // namespace namm::preload
