#include <algorithm>
#include <cstdio>
#include <optional>

#include "cli/command.hpp"
#include "cli/evolve_display.hpp"
#include "cli/evolve_ranks.hpp"
#include "cli/evolve_session.hpp"
#include "cli/interrupt.hpp"
#include "cli/version.hpp"
#include "evolve/ranks/rank_units.hpp"

namespace namm::cli {
namespace {

evolve::HostPool load_hosts(const po::variables_map& values, const std::vector<std::size_t>& lengths_tokens) {
  const ModelOptions options = model_from(values);
  const std::size_t longest = *std::max_element(lengths_tokens.begin(), lengths_tokens.end());
  return {host_factory(llama::LlamaModel::load(options.model), options, static_cast<int>(longest) + 256), options.workers};
}

const char* reason(evolve::RunEnd end) {
  switch (end) {
    case evolve::RunEnd::minutes:
      return " (time is up)";
    case evolve::RunEnd::target:
      return " (target reached)";
    case evolve::RunEnd::stagnation:
      return " (no better validation)";
    default:
      return "";
  }
}

}  // namespace

EvolveHosts::EvolveHosts(const po::variables_map& values, const std::vector<std::size_t>& lengths_tokens)
    : pool(load_hosts(values, lengths_tokens)), model_bytes(std::filesystem::file_size(values["model"].as<std::string>())) {}

std::string EvolveHosts::identity(const evolve::RunSettings& settings) const {
  nlohmann::json tasks = nlohmann::json::array();
  for (const auto& task : settings.tasks) tasks.push_back(task->name());
  const nlohmann::json all = {{"version", std::string(kVersion).append(" ").append(kCommit)},
                              {"model", pool.host().description().model},
                              {"model_bytes", model_bytes},
                              {"tasks", tasks},
                              {"lengths_tokens", settings.lengths_tokens},
                              {"fitness", settings.fitness},
                              {"chat_template", settings.protocol.chat_template},
                              {"question_after", settings.protocol.question_after}};
  return all.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::optional<po::variables_map> parse_evolve(const std::vector<std::string>& arguments) {
  return parse(arguments, evolve_options(), "namm evolve --model FILE --output DIR [options]",
               "Evolves a memory policy on a model. Fitness is measured on the model itself, relative to the full "
               "cache on the same prompts.\n"
               "Every generation is checkpointed; Ctrl-C keeps what there is, --resume goes on.\n"
               "On several machines or with several processes: mpirun -n 8 namm evolve ... (docs/evolve.md).");
}

int evolve_here(const po::variables_map& values, evolve::Channel* others) {
  evolve::RunSettings settings = settings_from(values);
  EvolveHosts hosts(values, settings.lengths_tokens);
  settings.provenance = provenance_of(settings, hosts.pool.host().description());
  std::optional<evolve::RankUnits> ranks;
  if (others != nullptr) {
    evolve::RankSettings all;
    all.identity = hosts.identity(settings);
    all.silence_limit = std::chrono::seconds(values["rank-timeout"].as<int>());
    ranks.emplace(hosts.pool, *others, settings.tasks, all);
  }
  EvolveDisplay display(values.contains("quiet"), settings.generations);
  const evolve::RunResult result =
      evolve::run(settings, hosts.pool, display.callbacks(), &interrupted(), ranks ? &*ranks : nullptr);
  display.clear();
  std::printf("%s after %lld generations%s: validation %+.4f (start %+.4f), kept from generation %lld\n",
              result.stopped ? "stopped" : "done", static_cast<long long>(result.generation), reason(result.end),
              result.validation, result.start_validation, static_cast<long long>(result.best_generation));
  std::printf("policy: %s\n", (settings.output / "policy.json").c_str());
  if (result.stopped) std::printf("resume with the same options and --resume %s in place of --output\n", settings.output.c_str());
  std::fflush(stdout);
  return result.stopped ? 1 : 0;
}

int run_evolve(const std::vector<std::string>& arguments) {
  if (launched_by_mpirun()) return evolve_on_ranks(arguments);
  const auto values = parse_evolve(arguments);
  if (!values) return 0;
  apply_general(*values);
  interrupted();
  return evolve_here(*values, nullptr);
}

}  // namespace namm::cli
