#include "evolve/checkpoint.hpp"

#include <fstream>
#include <iterator>
#include <limits>
#include <stdexcept>

#include "base/atomic_file.hpp"
#include "base/json_limits.hpp"
#include "base/named_pipe.hpp"
#include "evolve/generation_record.hpp"
#include "evolve/strategies/state_fields.hpp"
#include "namm/policy.hpp"

namespace namm::evolve {
namespace {

constexpr const char* kFormat = "namm-evolution";
constexpr int kVersion = 1;
constexpr std::size_t kMostValues = 64'000'000;  // a long history of a run with many parameters

double number_or_lowest(const nlohmann::json& object, const char* name) {
  if (field::get(object, name).is_null()) return -std::numeric_limits<double>::infinity();
  return field::number(object, name);
}

nlohmann::json policy_to_json(const Policy& policy) {
  return {{"kind", policy.name()}, {"settings", policy.to_json()}};
}

std::shared_ptr<const Policy> policy_from_json(const nlohmann::json& object, const char* name) {
  const nlohmann::json& policy = field::get(object, name);
  return make_policy(field::text(policy, "kind"), field::get(policy, "settings"));
}

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& why) {
  throw std::runtime_error("checkpoint '" + path.string() + "': " + why);
}

Checkpoint from_json(const nlohmann::json& json) {
  field::expect(json, "version", kVersion);
  Checkpoint checkpoint;
  checkpoint.settings = field::get(json, "settings");
  checkpoint.provenance = field::get(json, "provenance");
  checkpoint.strategy = field::get(json, "strategy");
  checkpoint.prototype = policy_from_json(json, "prototype");
  checkpoint.best = policy_from_json(json, "best");
  checkpoint.best_validation = number_or_lowest(json, "best_validation");
  checkpoint.start_validation = number_or_lowest(json, "start_validation");
  checkpoint.best_generation = field::integer(json, "best_generation");
  checkpoint.generation = field::integer(json, "generation");
  const nlohmann::json& progress = field::get(json, "progress");
  checkpoint.restart = field::integer(progress, "restart");
  checkpoint.progress_validation = number_or_lowest(progress, "validation");
  checkpoint.progress_generation = field::integer(progress, "generation");
  if (checkpoint.restart < 0 || checkpoint.restart > checkpoint.generation)
    throw std::runtime_error("field 'restart' must be from 0 to the generation; the file is damaged");
  const nlohmann::json& budgets = field::get(json, "by_budget");
  const nlohmann::json& wanted = field::get(checkpoint.settings, "budgets");
  const std::size_t count = wanted.size() > 1 ? wanted.size() : 0;
  if (!budgets.is_array() || budgets.size() != count)
    throw std::runtime_error("field 'by_budget' must have one entry per budget, or none for one budget; the file is damaged");
  for (const nlohmann::json& one : budgets)
    checkpoint.by_budget.push_back(
        {policy_from_json(one, "policy"), number_or_lowest(one, "validation"), field::integer(one, "generation")});
  const nlohmann::json& history = field::get(json, "history");
  if (!history.is_array() || history.size() != static_cast<std::size_t>(checkpoint.generation) + 1) {
    throw std::runtime_error("field 'history' must have one entry per generation and one for the start; the file is damaged");
  }
  checkpoint.history.assign(history.begin(), history.end());
  return checkpoint;
}

}  // namespace

void save_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint) {
  nlohmann::json json;
  json["format"] = kFormat;
  json["version"] = kVersion;
  json["settings"] = checkpoint.settings;
  json["provenance"] = checkpoint.provenance;
  json["strategy"] = checkpoint.strategy;
  json["prototype"] = policy_to_json(*checkpoint.prototype);
  json["best"] = policy_to_json(*checkpoint.best);
  json["best_validation"] = detail::number_or_null(checkpoint.best_validation);
  json["start_validation"] = detail::number_or_null(checkpoint.start_validation);
  json["best_generation"] = checkpoint.best_generation;
  json["generation"] = checkpoint.generation;
  json["progress"] = {{"restart", checkpoint.restart},
                      {"validation", detail::number_or_null(checkpoint.progress_validation)},
                      {"generation", checkpoint.progress_generation}};
  json["by_budget"] = nlohmann::json::array();
  for (const BudgetBest& one : checkpoint.by_budget)
    json["by_budget"].push_back({{"policy", policy_to_json(*one.policy)},
                                 {"validation", detail::number_or_null(one.validation)},
                                 {"generation", one.generation}});
  json["history"] = checkpoint.history;
  write_file_atomically(path, json.dump() + "\n");
}

Checkpoint load_checkpoint(const std::filesystem::path& path) {
  if (is_named_pipe(path)) refuse(path, "must be a file, is a FIFO");
  std::ifstream in(path, std::ios::binary);
  if (!in) refuse(path, "must be a readable file; check the folder's name, or start a new run without resuming");
  nlohmann::json json;
  try {
    json = detail::parse_json(std::string(std::istreambuf_iterator<char>(in), {}), kMostValues);
  } catch (const std::runtime_error& error) {
    const std::string what = error.what();
    refuse(path, what.substr(0, what.find(';')) + "; start a new run in another folder");
  }
  if (!json.is_object() || !json.contains("format") || json["format"] != kFormat) {
    refuse(path, "must have the format '" + std::string(kFormat) + "', is some other file; check the folder's name");
  }
  try {
    return from_json(json);
  } catch (const std::exception& error) {
    refuse(path, error.what());
  }
}

void expect_same_settings(const std::filesystem::path& path, const nlohmann::json& stored, const nlohmann::json& wanted) {
  nlohmann::json names = wanted;
  names.update(stored);
  for (const auto& [name, ignored] : names.items()) {
    const auto was = stored.find(name), is = wanted.find(name);
    const bool in_both = was != stored.end() && is != wanted.end();
    if (in_both && *was == *is) continue;
    if (name == kSourcesSetting) {
      // a run begun before sources were recorded goes on: what was not recorded cannot be compared
      if (was == stored.end()) continue;
      if (in_both && was->is_object() && is->is_object()) {
        nlohmann::json known = *is;
        if (!was->contains(kModelHashSource)) known.erase(kModelHashSource);
        expect_same_settings(path, *was, known);  // names the one that differs
        continue;
      }
    }
    const auto shown = [](const auto& found, const nlohmann::json& in) {
      return found != in.end() ? found->dump().substr(0, 80) : std::string("nothing");
    };
    refuse(path, "setting '" + name + "' must be that of the run it belongs to (" + shown(was, stored) + "), is " +
                     shown(is, wanted) + "; resume with the same settings or choose another folder");
  }
}

}  // namespace namm::evolve
