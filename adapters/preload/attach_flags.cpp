#include "adapters/preload/attach_flags.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string_view>

namespace namm::preload {
namespace {

using Words = std::vector<std::string_view>;

enum Programs : unsigned { kServer = 1, kCli = 2, kCompletion = 4, kBench = 8, kOther = 16 };
constexpr unsigned kCommon = kServer | kCli | kCompletion | kOther;

struct Rule {
  unsigned programs;
  Words names;                ///< spellings of the flag
  std::string_view variable;  ///< environment variable that llama.cpp reads for it, or ""
  bool takes_value;
  Words allowed;   ///< values that do not conflict; none: the flag itself conflicts
  Words supplied;  ///< appended where the user gave no such flag
  std::string_view why;
};

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
    {kCommon, {"-kvo", "--kv-offload"}, "LLAMA_ARG_KV_OFFLOAD", false, kOff, {}, "the policy's cache lives in host memory"},
    {kCommon, {"-nkvo", "--no-kv-offload"}, "", false, {"any"}, {"-nkvo"}, ""},
    {kBench, {"-nkvo", "--no-kv-offload"}, "", true, {"1"}, {"-nkvo", "1"}, "the policy's cache lives in host memory"},
    {kServer | kCli | kCompletion,
     {"--context-shift"},
     "LLAMA_ARG_CONTEXT_SHIFT",
     false,
     kOff,
     {},
     "cached keys cannot be moved to other positions"},
    {kServer | kCli,
     {"-ctxcp", "--ctx-checkpoints", "--swa-checkpoints"},
     "LLAMA_ARG_CTX_CHECKPOINTS",
     true,
     {"0"},
     {"-ctxcp", "0"},
     "checkpoints are a part of a state, the policy's cache is saved as a whole"},
    {kServer, {"--cache-reuse"}, "LLAMA_ARG_CACHE_REUSE", true, {"0"}, {}, "cached keys cannot be moved to other positions"},
    {kServer | kCli,
     {"-md", "--model-draft", "--spec-draft-model"},
     "LLAMA_ARG_SPEC_DRAFT_MODEL",
     true,
     {},
     {},
     "drafted tokens are taken back, evicted ones are not"},
    {kServer | kCli,
     {"--spec-type"},
     "LLAMA_ARG_SPEC_TYPE",
     true,
     {"none"},
     {},
     "drafted tokens are taken back, evicted ones are not"},
    {kCompletion,
     {"-gan", "--grp-attn-n"},
     "LLAMA_ARG_GRP_ATTN_N",
     true,
     {"1"},
     {},
     "cached keys cannot be moved to other positions"},
};

unsigned kind_of(const std::string& program) {
  const std::string name = std::filesystem::path(program).filename().string();
  if (name == "llama-server") return kServer;
  if (name == "llama-cli") return kCli;
  if (name == "llama-completion") return kCompletion;
  if (name == "llama-bench") return kBench;
  return name.starts_with("llama-") ? unsigned{kOther} : 0u;
}

bool among(const Words& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// "on", or of several types "f16, f32 or bf16"; other spellings of on and off need not be told.
std::string either(const Words& allowed) {
  std::string out(allowed.front());
  if (allowed == kTypes)
    for (std::size_t i = 1; i < allowed.size(); ++i) out.append(i + 1 < allowed.size() ? ", " : " or ").append(allowed[i]);
  return out;
}

[[noreturn]] void conflict(const Rule& rule, const std::string& flag, const std::string& value) {
  std::string message = flag + ": must ";
  if (rule.allowed.empty() || !rule.takes_value)
    message += "be left out with a policy attached, was given";
  else
    message += "be " + either(rule.allowed) + " with a policy attached, is " + value;
  throw std::invalid_argument(message + " (" + std::string(rule.why) + "); remove it" +
                              (!rule.supplied.empty() ? ", the right one is supplied" : ""));
}

}  // namespace

std::vector<std::string> attach_flags(const std::string& program, const std::vector<std::string>& arguments) {
  const unsigned kind = kind_of(program);
  std::vector<std::string> out = arguments;
  for (const Rule& rule : kRules) {
    if (!(rule.programs & kind)) continue;
    bool given = false;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      const std::size_t equals = arguments[i].starts_with("--") ? arguments[i].find('=') : std::string::npos;
      const std::string flag = arguments[i].substr(0, equals);
      if (!among(rule.names, flag)) continue;
      given = true;
      if (!rule.takes_value) {
        if (!among(rule.allowed, "any")) conflict(rule, flag, "");
        continue;
      }
      const std::string value = equals != std::string::npos ? arguments[i].substr(equals + 1)
                                : i + 1 < arguments.size()  ? arguments[i + 1]
                                                            : "nothing";
      if (!among(rule.allowed, value)) conflict(rule, flag, value);
    }
    if (given) continue;
    const char* const set = rule.variable.empty() ? nullptr : std::getenv(std::string(rule.variable).c_str());
    if (set && !among(rule.allowed, set)) conflict(rule, std::string(rule.variable), set);
    out.insert(out.end(), rule.supplied.begin(), rule.supplied.end());
  }
  return out;
}

}  // namespace namm::preload
