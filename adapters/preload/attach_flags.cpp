#include "adapters/preload/attach_flags.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string_view>

#include "adapters/llama_cpp/version/attach_rules.hpp"

namespace namm::preload {
namespace {

using Words = Rule::Words;

const Words kOffWords = {"off", "0", "false", "disabled"};

unsigned kind_of(const std::string& program) {
  const std::string name = std::filesystem::path(program).filename().string();
  if (name == "llama-server") return kServer;
  if (name == "llama-cli") return kCli;
  if (name == "llama-completion") return kCompletion;
  if (name == "llama-bench") return kBench;
  return name.starts_with("llama-") ? kOther : 0u;
}

bool among(const Words& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// "on", or of several types "f16, f32 or bf16"; other spellings of on and off need not be told.
std::string either(const Words& allowed) {
  std::string out(allowed.front());
  if (allowed.front() == "f16")
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

/// Throws if the environment, which llama-bench does not read, sets something else; true if it sets what is wanted.
bool set_in_environment(const Rule& rule, unsigned kind) {
  if (rule.variable.empty() || kind == kBench) return false;
  const std::string name(rule.variable);
  if (name == "LLAMA_ARG_KV_OFFLOAD" && std::getenv("LLAMA_ARG_NO_KV_OFFLOAD")) return true;
  const char* const set = std::getenv(name.c_str());
  if (set && !among(rule.allowed, set)) conflict(rule, name, set);
  return set;
}

/// True if the flag is there. Throws if it conflicts.
bool given(const Rule& rule, const std::vector<std::string>& arguments) {
  bool found = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (!among(rule.names, flag_name(arguments[i]))) continue;
    found = true;
    const std::size_t equals = arguments[i].starts_with("--") ? arguments[i].find('=') : std::string::npos;
    const std::string flag = arguments[i].substr(0, equals);
    if (!rule.takes_value) {
      if (!among(rule.allowed, "any")) conflict(rule, flag, "");
      continue;
    }
    const std::string value = equals != std::string::npos ? arguments[i].substr(equals + 1)
                              : i + 1 < arguments.size()  ? arguments[i + 1]
                                                          : "nothing";
    if (!among(rule.allowed, value)) conflict(rule, flag, value);
  }
  return found;
}

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r"), last = text.find_last_not_of(" \t\r");
  return first == std::string::npos ? std::string() : text.substr(first, last - first + 1);
}

/// Value of a flag or of its variable; "" if neither is there.
std::string value_of(const std::vector<std::string>& arguments, std::string_view flag, const char* variable) {
  for (std::size_t i = 0; i + 1 < arguments.size(); ++i)
    if (flag_name(arguments[i]) == flag) return arguments[i + 1];
  const char* const set = std::getenv(variable);
  return set ? set : "";
}

/// Whether the program is told, by flag or variable, to put all layers on a device, and nothing keeps their cache from it. "All"
/// is said as people say it: 99 or more. With fewer layers the cache is in two kinds of memory, which not every model's can be
/// (sliding windows): then it takes -kvo, too.
bool offloads_cache(const std::vector<std::string>& arguments, unsigned kind) {
  const bool reads_variables = kind != kBench;
  const auto set = [&](const char* variable) { return reads_variables ? std::getenv(variable) : nullptr; };
  if (set("LLAMA_ARG_NO_KV_OFFLOAD")) return false;
  if (const char* const offload = set("LLAMA_ARG_KV_OFFLOAD"); offload && among(kOffWords, offload)) return false;
  bool asked = false;
  std::string layers = set("LLAMA_ARG_N_GPU_LAYERS") ? set("LLAMA_ARG_N_GPU_LAYERS") : "";
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string name = flag_name(arguments[i]);
    if (name == "-nkvo" || name == "--no-kv-offload") return false;
    asked = asked || name == "-kvo" || name == "--kv-offload";
    if (name != "-ngl" && name != "--gpu-layers" && name != "--n-gpu-layers") continue;
    const std::size_t equals = arguments[i].starts_with("--") ? arguments[i].find('=') : std::string::npos;
    layers = equals != std::string::npos ? arguments[i].substr(equals + 1)
             : i + 1 < arguments.size()  ? arguments[i + 1]
                                         : std::string();
  }
  int count = 0;
  const auto [end, error] = std::from_chars(layers.data(), layers.data() + layers.size(), count);
  return layers == "all" || (error == std::errc{} && end == layers.data() + layers.size() && count >= (asked ? 1 : 99));
}

/// Files with defaults that llama.cpp's programs read.
std::vector<std::string> configurations() {
  std::vector<std::string> out = {"/etc/llama.cpp/config.ini"};
  const char* const folder = std::getenv("XDG_CONFIG_HOME");
  const char* const home = std::getenv("HOME");
  if (folder && *folder)
    out.push_back(std::string(folder) + "/llama.cpp/config.ini");
  else if (home)
    out.push_back(std::string(home) + "/.config/llama.cpp/config.ini");
  return out;
}

}  // namespace

std::vector<std::string> attach_flags(const std::string& program, const std::vector<std::string>& arguments, bool device) {
  const unsigned kind = kind_of(program);
  const CachePlace place = device && offloads_cache(arguments, kind) ? CachePlace::device : CachePlace::host;
  std::vector<std::string> out = arguments;
  for (const Rule& rule : attach_rules()) {
    if (!rule.applies(kind, place) || given(rule, arguments) || set_in_environment(rule, kind)) continue;
    out.insert(out.end(), rule.supplied.begin(), rule.supplied.end());
  }
  if (kind & kServer) check_presets(value_of(arguments, "--models-preset", "LLAMA_ARG_MODELS_PRESET"), arguments, place);
  if (kind & (kServer | kCli))
    for (const std::string& path : configurations()) check_presets(path, arguments, place);
  return out;
}

void check_presets(const std::string& path, const std::vector<std::string>& arguments, CachePlace place) {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    const std::size_t equals = line.find('=');
    if (equals == std::string::npos || trimmed(line).find_first_of("#;[") == 0) continue;
    const std::string key = trimmed(line.substr(0, equals)), value = trimmed(line.substr(equals + 1));
    for (const Rule& rule : attach_rules()) {
      // what stands on the command line, or is supplied there, goes before what a file says
      if (!rule.applies(kServer, place) || !rule.supplied.empty() || given(rule, arguments)) continue;
      if (key != rule.variable && !among(rule.names, flag_name("--" + key)) && !among(rule.names, "-" + key)) continue;
      if (rule.takes_value ? among(rule.allowed, value) : among(kOffWords, value)) continue;
      conflict(rule, path + ": " + key, value);
    }
  }
}

void supply_by_environment() {
  for (const Rule& rule : attach_rules())
    if (!rule.supplied.empty() && !rule.variable.empty() && rule.applies(kServer, CachePlace::host))
      setenv(std::string(rule.variable).c_str(), rule.takes_value ? std::string(rule.supplied.back()).c_str() : "off", 0);
}

std::string missing_flags(const std::string& program, const std::vector<std::string>& arguments, bool device) {
  const std::vector<std::string> wanted = attach_flags(program, arguments, device);
  std::string out;
  for (std::size_t i = arguments.size(); i < wanted.size(); ++i) out.append(out.empty() ? "" : " ").append(wanted[i]);
  return out;
}

bool aborts_at_refusals(const std::string& program) {
  return (kind_of(program) & (kServer | kCli)) != 0;
}

}  // namespace namm::preload
