#include "cli/tune/steps.hpp"

#include <spdlog/spdlog.h>

#include <cstdio>
#include <filesystem>
#include <stdexcept>

#include "adapters/llama_cpp/model_key.hpp"
#include "base/date.hpp"
#include "base/version.hpp"
#include "cli/again.hpp"
#include "cli/command.hpp"
#include "cli/tune/choice.hpp"
#include "cli/tune/split.hpp"
#include "core/model_policies.hpp"
#include "core/policies/key_probe.hpp"
#include "core/policy_file.hpp"

namespace namm::cli {
namespace {

namespace fs = std::filesystem;

/// The calibrated policy without recency: where evolution begins (docs/calibrate.md, "Evolved on top").
void write_plain(const Tuning& tuning) {
  PolicyFile file = load_policy_file(tuning.calibrated() / kPolicyFileName);
  file.policy = with_recency(*file.policy, 0);
  file.provenance["recency"] = 0;
  save_policy_file(tuning.plain(), file);
}

/// Chooses, writes policy.json and keeps it as the model's own for this budget.
void write_chosen(const Tuning& tuning) {
  const TuneChoice choice = choose(tuning);
  const Split split = recorded_split(tuning);
  PolicyFile file = load_policy_file(choice.averaged ? tuning.averaged() : tuning.fitted(split.recency));
  file.selection.budget = parse_budget(tuning.budget);
  file.selection.mode = SelectionMode::pooled;
  file.store = parse_row_formats(split.store);
  file.provenance["model"] = load_policy_file(tuning.calibrated() / kPolicyFileName).provenance["model"];
  file.provenance["tuned"] = {{"budget", tuning.budget}, {"chosen", choice.averaged ? "evolved on top" : "calibrated"},
                              {"why", choice.why},       {"sizes", to_json(tuning.sizes)},
                              {"date", today()},         {"version", version()},
                              {"commit", commit()},      {"store", split.store}};
  if (!split.nat_of.is_null()) file.provenance["tuned"]["stores"] = split.nat_of;
  file.provenance["date"] = today();
  save_policy_file(tuning.chosen(), file);
  std::printf("chosen: %s%s, keys and values held as %s (%s)\n", choice.averaged ? "calibrated, then evolved" : "calibrated",
              split.recency ? "" : ", without recency", split.store.c_str(), choice.why.c_str());
  try {
    ModelPolicies().keep(llama::model_key(tuning.model), tuned_name(file.selection.budget), file);
    std::printf("kept as this model's own for %s ('namm policies')\n", tuning.budget.c_str());
  } catch (const std::exception& error) {
    spdlog::warn("{}; the policy is not kept as this model's own", error.what());
  }
  std::fflush(stdout);
}

/// Settles how keys and values are held, and says what the others would have cost.
void settle_split(const Tuning& tuning) {
  const Split split = recorded_split(tuning);
  const std::string chosen = Way{split.store, split.recency}.name();
  for (const auto& [way, nat] : split.nat_of.items())
    std::printf("%s within %s: %+.3f nat per answer token%s\n", way.c_str(), tuning.budget.c_str(), nat.get<double>(),
                way == chosen ? ", chosen" : "");
  std::fflush(stdout);
}

/// One command of this program. What was begun and left is gone on with.
int run_words(const std::vector<std::string>& words) {
  const RunsOthers silent;
  for (const Command& command : commands())
    if (command.name == words.front()) return command.run({words.begin() + 1, words.end()});
  throw std::logic_error("tune: no command " + words.front());
}

}  // namespace

std::vector<TuneStep> steps_of(const Tuning& tuning) {
  const auto exists = [](const fs::path& path) {
    std::error_code ignored;
    return fs::exists(path, ignored);
  };
  const auto resumed = [&tuning](const char* command, const fs::path& folder) {
    std::vector<std::string> words = {command, "--resume", folder.string()};
    if (tuning.quiet) words.emplace_back("--quiet");
    return words;
  };
  std::vector<TuneStep> out;
  out.push_back({"calibrate", [=, &tuning] {
                   const fs::path folder = tuning.calibrated();
                   if (exists(folder / "calibration.state")) return run_words(resumed("calibrate", folder));
                   return exists(folder / kPolicyFileName) ? 0 : run_words(calibrate_words(tuning));
                 }});
  if (tuning.store == kAutoStore)
    for (const std::string& store : compared_stores(parse_budget(tuning.budget)))
      out.push_back({"hold as " + store, [=, &tuning] {
                       if (!exists(tuning.plain())) write_plain(tuning);
                       return run_words(split_words(tuning, store));
                     }});
  if (tuning.store != kDefaultStore) out.push_back({"split", [&tuning] { return settle_split(tuning), 0; }});
  // where everything fits there is nothing to evolve
  const auto evolving = [&tuning](const auto& words) {
    const Split split = recorded_split(tuning);
    return split.holds_all ? 0 : run_words(words(split));
  };
  for (int i = 1; i <= tuning.sizes.seeds; ++i)
    out.push_back({"evolve " + std::to_string(i), [=, &tuning] {
                     if (!exists(tuning.plain())) write_plain(tuning);
                     const fs::path folder = tuning.offsets(i);
                     return evolving([&](const Split& split) {
                       return exists(folder / "checkpoint.json") ? resumed("evolve", folder)
                                                                 : evolve_words(tuning, i, split.budget);
                     });
                   }});
  if (tuning.sizes.seeds > 1)
    out.push_back(
        {"average", [=, &tuning] { return evolving([&](const Split& split) { return average_words(tuning, split.recency); }); }});
  if (tuning.sizes.seeds > 0)
    out.push_back({"validate", [=, &tuning] {
                     return evolving([&](const Split& split) { return validate_words(tuning, split.store, split.recency); });
                   }});
  out.push_back({"choose", [&tuning] { return write_chosen(tuning), 0; }});
  out.push_back({"test", [&tuning] { return run_words(test_words(tuning, recorded_split(tuning).store)); }});
  out.push_back({"report", [&tuning] { return run_words(report_words(tuning, !recorded_split(tuning).holds_all)); }});
  return out;
}

}  // namespace namm::cli
