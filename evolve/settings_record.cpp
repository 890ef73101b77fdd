#include "evolve/settings_record.hpp"

#include "base/fingerprint.hpp"
#include "evolve/checkpoint.hpp"

namespace namm::evolve {
nlohmann::json storable(const nlohmann::json& json) {
  return nlohmann::json::parse(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

nlohmann::json describe_settings(const RunSettings& s, int population, const HostDescription& host) {
  nlohmann::json tasks = nlohmann::json::array(), budgets = nlohmann::json::array();
  for (const auto& task : s.tasks) tasks.push_back(task->name());
  for (const Budget& budget : s.budgets) budgets.push_back(to_string(budget));
  nlohmann::json record = {
      {"model", host.model},
      {"architecture", host.architecture},
      {"policy", s.prototype->name()},
      {"policy_fingerprint", fingerprint(s.prototype->to_json().dump())},
      {"gather_normalisation", s.gather_normalisation},
      {"tasks", tasks},
      {"lengths_tokens", s.lengths_tokens},
      {"prompts_per_task", s.prompts_per_task},
      {"training_pool", s.training_pool},
      {"validation_prompts", s.validation_prompts},
      {"validate_every", s.validate_every},
      {"budgets", budgets},
      {"selection", to_string(s.selection.mode)},
      {"sinks", s.selection.sinks},
      {"recent", s.selection.recent},
      {"spectrogram", {{"fft_size", s.spectrogram.fft_size}, {"hop", s.spectrogram.hop}, {"decay", s.spectrogram.decay}}},
      {"interval_tokens", s.interval_tokens},
      {"fitness", s.fitness},
      {"chat_template", s.protocol.chat_template},
      {"question_after", s.protocol.question_after},
      {"strategy", s.strategy},
      {"population", population},
      {"step_size", s.step_size},
      {"seed", s.seed},
  };
  if (s.stop.restarts > 0)
    record["restarts"] = {{"most", s.stop.restarts}, {"stagnant", s.stop.stagnant}, {"population", s.stop.restart_population}};
  if (!s.traces.empty()) record["traces"] = s.traces;
  if (!s.start.empty()) record["start"] = s.start;
  if (!s.sources.empty()) record[kSourcesSetting] = s.sources;
  return storable(record);
}

}  // namespace namm::evolve
