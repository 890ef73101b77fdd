#include <fcntl.h>
#include <unistd.h>

#include <spdlog/spdlog.h>
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <optional>
#include <stdexcept>

#include "adapters/llama_cpp/model_facts.hpp"
#include "adapters/llama_cpp/store/row_holder.hpp"
#include "adapters/preload/attach_flags.hpp"
#include "adapters/preload/settings.hpp"
#include "adapters/preload/stats_file.hpp"
#include "cli/attach_program.hpp"
#include "cli/attach_words.hpp"
#include "cli/command.hpp"
#include "cli/memory_warnings.hpp"
#include "cli/options.hpp"
#include "cli/own_policy.hpp"
#include "cli/untuned.hpp"

namespace namm::cli {
namespace {

namespace fs = std::filesystem;

/// Beside this program in a build tree, in lib/namm of an installation.
fs::path library(const std::string& name) {
  const fs::path here = fs::read_symlink("/proc/self/exe").parent_path();
  for (const fs::path& folder : {here, here / NAMM_LIBRARY_FROM_PROGRAM})
    if (fs::exists(folder / name)) return fs::weakly_canonical(folder / name);
  throw std::runtime_error(name + ": must lie beside namm or in " + (here / NAMM_LIBRARY_FROM_PROGRAM).string() +
                           ", is in neither; build or install the whole project");
}

/// The model file that the program's command line or environment names; empty if neither does.
fs::path model_of(const std::vector<std::string>& arguments) {
  for (std::size_t i = 0; i + 1 < arguments.size(); ++i)
    if (arguments[i] == "-m" || arguments[i] == "--model") return arguments[i + 1];
  const char* const variable = std::getenv("LLAMA_ARG_MODEL");
  return variable != nullptr ? variable : "";
}

/// A policy's name or the path of its file, with "own" resolved.
std::string policy_from(const po::variables_map& values, const std::optional<Budget>& budget, const fs::path& model) {
  const std::string name = values.contains("policy") ? recorded_policy(values["policy"].as<std::string>())
                                                     : policy_unless_named(model, budget, kDefaultPolicyName);
  if (name != kOwnPolicyName) return name;
  resolve_policy_of(name, model, budget);  // says what is wrong
  return own_policy(model, budget)->string();
}

/// The program offloads, and all that keeps its cache from the device is how the policy's file wants it held.
void warn_of_store(CachePolicy memory, const std::string& program, const std::vector<std::string>& given) {
  const std::string store = to_string(memory.store);
  memory.store = {};
  if (!llama::why_not_held_elsewhere(memory).empty()) return;
  const auto flags = [&](bool device) -> std::vector<std::string> {
    try {
      return preload::attach_flags(program, given, device);
    } catch (const std::invalid_argument&) {
      return {};
    }
  };
  if (flags(true) != flags(false))
    spdlog::warn(
        "store: keys and values are held as {}, which keeps the cache in host memory; with --store f16 it can be the GPU's",
        store);
}

preload::Settings attach_settings_from(const po::variables_map& values, const std::string& program,
                                       const std::vector<std::string>& words) {
  const MemoryOptions asked = memory_from(values);
  std::optional<Budget> given;
  if (values.contains("budget")) given = budget_from(values);
  const std::string name = policy_from(values, given, model_of(words));
  const PolicyFile file = resolve_policy(name);
  Budget budget = given.value_or(file.selection.budget);
  if (!file.drops())
    budget = {};
  else if (budget.unit == Budget::Unit::unlimited && !values.contains("budget"))
    throw std::invalid_argument("--budget: must be given with the policy " + name + ", is missing; for example --budget 25%");
  const CachePolicy memory = make_memory(file, asked, budget);
  warn_of_lost_means(name, file, memory);
  if (values.contains("budget")) warn_of_few_tokens({&budget, 1});
  preload::Settings out;
  out.policy = is_policy_name(name) ? name : fs::absolute(name).string();
  out.budget = to_string(budget);
  out.mode = to_string(memory.selection.mode);
  out.store = to_string(memory.store);
  out.interval_tokens = memory.interval_tokens;
  out.sinks = memory.selection.sinks;
  out.recent = memory.selection.recent;
  out.device = llama::why_not_held_elsewhere(memory).empty();
  if (!out.device) warn_of_store(memory, program, words);
  if (values.contains("stats")) out.stats = fs::absolute(values["stats"].as<std::string>()).string();
  return out;
}

void check_writable(const std::string& path) {
  preload::check_stats_path(path);
  const int file = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0)
    throw std::runtime_error("--stats " + path + ": must be writable, is not (" + std::strerror(errno) + "); name another file");
  close(file);
}

/// The program's model, if it is a file: refused where its header says that nothing can be attached.
void check_model(const fs::path& model, const std::string& policy) {
  std::error_code error;
  if (!fs::is_regular_file(model, error)) return;  // the program says what is wrong with it
  const auto facts = llama::model_facts(model);
  if (!facts["policy_attaches"].get<bool>())
    throw std::runtime_error("model " + model.string() +
                             ": a memory policy cannot be attached: " + facts["why_not"].get<std::string>());
  if (policy == kDefaultPolicyName) warn_if_untuned(model);
}

[[noreturn]] void become(const std::vector<std::string>& words) {
  std::vector<char*> list;
  for (const std::string& word : words) list.push_back(const_cast<char*>(word.c_str()));
  list.push_back(nullptr);
  execvp(list[0], list.data());
  throw std::runtime_error(words[0] + ": must be a program that can be started, cannot (" + std::strerror(errno) +
                           "); give its path behind '--'");
}

}  // namespace

int run_attach(const std::vector<std::string>& arguments) {
  const auto separator = std::find(arguments.begin(), arguments.end(), "--");
  const std::vector<std::string> own(arguments.begin(), separator);
  po::options_description options("Options", 110);
  options.add_options()(
      "policy,p", po::value<std::string>()->value_name("NAME"),
      "policy: a name, a policy file, own (made for this model: namm policies) or default (the evolved one that "
      "comes with the program); without it own, else default");
  options.add_options()("budget,b", po::value<std::string>()->value_name("B"),
                        "25% or 0.25, 256 (tokens per head), 64MiB, 12.5%bytes; default: the policy file's own");
  add_memory(options);
  add_store(options);
  options.add_options()("stats", po::value<std::string>()->value_name("FILE"),
                        "appends a JSON object per request: tokens, entries and bytes kept, savings");
  options.add_options()("print", "prints the program's command line with the flags it is given, and stops");
  add_general(options);
  check_separator(arguments, options);
  const auto values =
      parse(own, options, "namm attach --policy NAME --budget B [options] -- PROGRAM [arguments]",
            "Runs an unmodified llama.cpp program (llama-server, llama-cli, llama-completion, llama-bench) with a policy "
            "attached: its KV cache moves into the policy's store.\nSavings are logged at the end of each request.");
  if (!values) return 0;
  apply_general(*values);
  if (separator == arguments.end() || separator + 1 == arguments.end())
    throw std::invalid_argument(
        "program: must be given behind '--', is missing; for example: namm attach --policy h2o-mean --budget 25% -- "
        "llama-server -m model.gguf");
  const std::string program = *(separator + 1);
  const std::vector<std::string> given(separator + 2, arguments.end());
  const preload::Settings settings = attach_settings_from(*values, program, given);
  std::vector<std::string> words = preload::attach_flags(program, given, settings.device);
  words.insert(words.begin(), program);
  if (values->contains("print")) {
    for (std::size_t i = 0; i < words.size(); ++i) std::cout << (i ? " " : "") << words[i];
    std::cout << '\n';
    return 0;
  }
  const fs::path path = find_program(program);
  words.front() = path.string();
  check_preloadable(path);
  check_model(model_of(given), settings.policy);
  if (!settings.stats.empty()) check_writable(settings.stats);
  preload::put_into_environment(settings);
  if (!path.filename().string().starts_with("llama-")) preload::supply_by_environment();
  setenv("NAMM_ATTACH_PID", std::to_string(getpid()).c_str(), 1);
  setenv("NAMM_ATTACH_MODULE", library("libnamm_module.so").c_str(), 1);
  const char* const before = std::getenv("LD_PRELOAD");
  const fs::path preloaded = library("libnamm_preload.so");
  check_preload_path(preloaded);
  std::string preload = preloaded.string();
  if (before && *before) preload.append(":").append(before);
  setenv("LD_PRELOAD", preload.c_str(), 1);
  become(words);
}

}  // namespace namm::cli
