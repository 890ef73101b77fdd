#include "cli/seen_prompts.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>

#include "eval/fingerprint.hpp"

namespace namm::cli {
namespace {

/// Whether a field of this name holds the content's fingerprint, at any depth: averaged and tuned policies hold what their parts
/// were made from.
bool made_from(const nlohmann::json& provenance, const char* field, const std::string& content) {
  if (!provenance.is_structured()) return false;
  if (const auto found = provenance.is_object() ? provenance.find(field) : provenance.end(); found != provenance.end())
    if (found->is_string() && found->get_ref<const std::string&>().starts_with(content)) return true;
  return std::any_of(provenance.begin(), provenance.end(),
                     [&](const nlohmann::json& part) { return made_from(part, field, content); });
}

}  // namespace

void warn_of_seen_prompts(std::span<const Candidate> candidates, const std::filesystem::path& data, const std::string& split) {
  const std::string content = eval::file_fingerprint(data);
  std::set<std::string> said;
  for (const Candidate& candidate : candidates) {
    const bool fitted = made_from(candidate.provenance, "data_content", content);  // a calibration reads the whole file
    const bool evolved = split != "test" && made_from(candidate.provenance, "data", content);
    if ((!fitted && !evolved) || !said.insert(candidate.name).second) continue;
    spdlog::warn("policy {}: was {} prompts of {}, so its results on them are too good; {}", candidate.name,
                 fitted ? "fitted to" : "evolved on", data.string(),
                 fitted ? "measure it on others" : "--split test has those that it never saw");
  }
}

}  // namespace namm::cli
