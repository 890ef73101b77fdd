// namm._core.evolve(): the loop of evolve/ for a model that Python evaluates.
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "adapters/python/src/bind.hpp"
#include "adapters/python/src/model_host.hpp"
#include "base/fingerprint.hpp"
#include "base/registry.hpp"
#include "core/features/feature_set.hpp"
#include "core/policy_file.hpp"
#include "evolve/fitness.hpp"
#include "evolve/generation_record.hpp"
#include "evolve/loop.hpp"
#include "evolve/settings_limits.hpp"
#include "evolve/strategy_choice.hpp"
#include "kernels/isa.hpp"
#include "tasks/data_task.hpp"
#include "tasks/prompt_file.hpp"
#include "tasks/text_continuation.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace namm::python {
namespace {

using evolve::RunSettings;

/// A new one, all weights zero.
PolicyObject new_policy(const std::string& name, const std::string& features) {
  find_entry("features", features, feature_sets());
  CachePolicy out = load_policy(name);
  out.policy = make_policy(name, {{"features", features}});
  return {std::move(out)};
}

void set_start(RunSettings& settings, const PolicyObject& start, bool is_new) {
  settings.prototype = start.policy.policy;
  settings.gather_normalisation = is_new;
  settings.selection = start.policy.selection;
  settings.spectrogram = start.policy.spectrogram;
  settings.interval_tokens = start.policy.interval_tokens;
}

void set_budgets(RunSettings& settings, const std::vector<std::string>& budgets) {
  settings.budgets.clear();
  for (const std::string& budget : budgets) settings.budgets.push_back(parse_budget(budget));
}

void set_tasks(RunSettings& settings, const std::vector<std::string>& names) {
  settings.tasks.clear();
  for (const std::string& name : tasks::task_names(names)) settings.tasks.push_back(tasks::make_task(name));
}

/// Prompts of a file in place of tasks; plain texts are continued. Gives whether they are plain, and how many different ones
/// train and validate.
nb::tuple set_data(RunSettings& settings, const std::string& name, const std::filesystem::path& file) {
  auto data = std::make_shared<const tasks::DataTask>(name, tasks::load_prompts(file), tasks::FileSplits::disjoint);
  const nb::tuple facts = nb::make_tuple(data->is_plain(), data->different(tasks::Split::train),
                                         data->different(tasks::Split::validation), data->documents());
  settings.tasks.clear();
  if (data->is_plain())
    settings.tasks.push_back(std::make_shared<const tasks::TextContinuation>(std::move(data)));
  else
    settings.tasks.push_back(std::move(data));
  return facts;
}

/// Traces are the program's, and so are snapshots of a cache.
std::vector<std::string> fitness_names() {
  std::vector<std::string> out;
  for (const evolve::FitnessEntry& entry : evolve::fitness_registry())
    if (entry.name != "retention" && entry.name != "semi-live") out.emplace_back(entry.name);
  return out;
}

const char* reason(evolve::RunEnd end) {
  switch (end) {
    case evolve::RunEnd::minutes:
      return "minutes";
    case evolve::RunEnd::target:
      return "target";
    case evolve::RunEnd::stagnation:
      return "stagnation";
    default:
      return "generations";
  }
}

/// What stands for what suits the number of parameters is replaced by it. Throws for what no run can have.
void complete(RunSettings& settings) {
  evolve::check_settings(settings);
  const std::size_t parameters = settings.prototype->parameter_count();
  settings.strategy = evolve::chosen_strategy(settings.strategy, parameters);
  if (settings.step_size == 0) settings.step_size = evolve::default_step_size(parameters);
}

/// Python's lock is kept: nearly all of the work is Python's, and torch gives it away while it computes.
nb::dict run(const RunSettings& settings, const nb::object& model, const nb::callable& progress, const nb::callable& generation,
             const nb::callable& beginning) {
  Interruption interruption;
  HostPool pool([&] { return std::make_unique<ModelHost>(model, interruption); }, 1);
  evolve::RunCallbacks callbacks;
  callbacks.progress = [&](std::string_view stage, std::size_t done, std::size_t all, double share) {
    interruption.deferring([&] { progress(nb::str(stage.data(), stage.size()), done, all, share); });
  };
  callbacks.generation = [&](const evolve::GenerationRecord& record) {
    interruption.deferring([&] { generation(evolve::to_log_line(record).dump()); });
  };
  callbacks.beginning = [&] { interruption.deferring([&] { beginning(); }); };
  const evolve::RunResult result = evolve::run(settings, pool, callbacks, &interruption.stop());
  interruption.rethrow();
  nb::dict out;
  out["validation"] = result.validation;
  out["start_validation"] = result.start_validation;
  out["generations"] = result.generation;
  out["best_generation"] = result.best_generation;
  out["end"] = reason(result.end);
  return out;
}

nlohmann::json object_of(const std::string& text) {
  return nlohmann::json::parse(text);
}

}  // namespace

void bind_evolution(nb::module_& module) {
  module.def("new_policy", &new_policy, "name"_a, "features"_a);
  module.def("fitness_names", &fitness_names);
  module.def("isa_name", &kernels::isa_name);
  module.def(
      "fingerprint",
      [](const nb::bytes& content) {
        return fingerprint({content.c_str(), content.size()});
      },
      "content"_a);
  nb::class_<RunSettings>(module, "EvolutionSettings")
      .def(nb::init<>())
      .def("set_start", &set_start, "policy"_a, "is_new"_a)
      .def("set_budgets", &set_budgets, "budgets"_a)
      .def("set_tasks", &set_tasks, "names"_a)
      .def("set_data", &set_data, "name"_a, "file"_a)
      .def("complete", &complete)
      .def(
          "set_sources", [](RunSettings& s, const std::string& json) { s.sources = object_of(json); }, "json"_a)
      .def(
          "set_provenance", [](RunSettings& s, const std::string& json) { s.provenance = object_of(json); }, "json"_a)
      .def(
          "set_protocol",
          [](RunSettings& s, bool chat_template, bool question_after) {
            s.protocol = {chat_template, question_after};
          },
          "chat_template"_a, "question_after"_a)
      .def(
          "set_stop",
          [](RunSettings& s, double minutes, std::optional<double> at, std::int64_t stagnant) {
            s.stop.minutes = minutes;
            s.stop.at = at;
            s.stop.stagnant = stagnant;
          },
          "stop_after_minutes"_a, "stop_at"_a.none(), "stop_stagnant"_a)
      .def_prop_ro("tasks",
                   [](const RunSettings& s) {
                     std::vector<std::string> out;
                     for (const auto& task : s.tasks) out.emplace_back(task->name());
                     return out;
                   })
      .def_rw("lengths", &RunSettings::lengths_tokens)
      .def_rw("prompts", &RunSettings::prompts_per_task)
      .def_rw("training_pool", &RunSettings::training_pool)
      .def_rw("validation", &RunSettings::validation_prompts)
      .def_rw("validate_every", &RunSettings::validate_every)
      .def_rw("fitness", &RunSettings::fitness)
      .def_rw("strategy", &RunSettings::strategy)
      .def_rw("population", &RunSettings::population)
      .def_rw("step_size", &RunSettings::step_size)
      .def_rw("seed", &RunSettings::seed)
      .def_rw("generations", &RunSettings::generations)
      .def_rw("output", &RunSettings::output)
      .def_rw("resume", &RunSettings::resume);
  module.def("evolve", &run, "settings"_a, "model"_a, "progress"_a, "generation"_a, "beginning"_a);
}

}  // namespace namm::python
