#include "cli/eval_candidates.hpp"

#include <nlohmann/json.hpp>

#include "calibrate/hindsight.hpp"
#include "cli/fingerprint.hpp"

namespace namm::cli {

std::vector<Candidate> candidates_from(const po::variables_map& values) {
  const std::vector<MemoryOptions> memories = memories_from(values);
  const std::vector<Budget> budgets = parse_budgets(values["budget"].as<std::string>());
  std::vector<Candidate> out;
  for (const std::string& name : split_list(values["policy"].as<std::string>(), "--policy")) {
    PolicyFile file;
    file.policy = calibrate::make_hindsight(name);
    if (!file.policy) file = resolve_policy(name);
    if (file.policy->keeps_everything()) continue;
    for (const Budget& budget : budgets)
      for (const MemoryOptions& options : memories) out.push_back({name, make_memory(file, options, budget)});
  }
  return out;
}

std::string memory_fingerprint(const Memory& memory) {
  const SelectionSettings& selection = memory.selection;
  const nlohmann::json content = {
      {"policy", memory.policy ? std::string(memory.policy->name()) : std::string()},
      {"content", memory.policy ? memory.policy->to_json() : nlohmann::json()},
      {"spectrogram", {memory.spectrogram.fft_size, memory.spectrogram.hop, memory.spectrogram.decay}},
      {"protected", {selection.sinks, selection.recent}}};
  return fingerprint(content.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace namm::cli
