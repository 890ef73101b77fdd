#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/date.hpp"
#include "base/json_fields.hpp"
#include "base/version.hpp"
#include "cli/command.hpp"
#include "cli/options.hpp"
#include "core/policies/average.hpp"
#include "core/policies/key_probe.hpp"
#include "core/policy_file.hpp"

namespace namm::cli {
namespace {

/// Policies are averaged that were evolved under the same conditions: nothing of the others is dropped unsaid.
void require_same_conditions(const PolicyFile& first, const PolicyFile& file) {
  const auto require = [](bool same, const char* field, const std::string& wanted, const std::string& is) {
    if (!same) throw std::invalid_argument(std::string(field) + ": must be that of the first file, " + wanted + ", is " + is);
  };
  const SelectionSettings &a = first.selection, &b = file.selection;
  require(a.mode == b.mode, "selection.mode", std::string(to_string(a.mode)), std::string(to_string(b.mode)));
  require(to_string(a.budget) == to_string(b.budget), "selection.budget", to_string(a.budget), to_string(b.budget));
  require(a.sinks == b.sinks, "selection.sinks", std::to_string(a.sinks), std::to_string(b.sinks));
  require(a.recent == b.recent, "selection.recent", std::to_string(a.recent), std::to_string(b.recent));
  require(first.interval_tokens == file.interval_tokens, "interval_tokens", std::to_string(first.interval_tokens),
          std::to_string(file.interval_tokens));
  require(first.store == file.store, "store", to_string(first.store), to_string(file.store));
  require(first.spectrogram.decay == file.spectrogram.decay, "spectrogram.decay", std::to_string(first.spectrogram.decay),
          std::to_string(file.spectrogram.decay));
}

}  // namespace

int run_average(const std::vector<std::string>& arguments) {
  po::options_description options("Options", 100);
  const auto positional = add_files(options, "policy files of several runs, at least two");
  options.add_options()("output,o", po::value<std::string>()->required()->value_name("FILE"),
                        "the policy file to write, in binary form if it ends in .safetensors; a file there is replaced")(
      "recency", po::value<float>()->value_name("R"),
      "calibrated policies: the recency of the result, 0 to 4; default: the first file's. In files without evenness, of earlier "
      "versions, it counts in all heads alike; 1 was usual there");
  add_general(options);
  const auto values = parse(
      arguments, options, "namm average FILE FILE... --output FILE [options]",
      "Writes the first policy with the mean of all files' parameters: one run's are partly chance, the mean of several is less "
      "so.\n"
      "The runs must have begun with the same policy file, under the same budget; they differ in --seed.\n"
      "Compare the result with its parts: 'namm eval'.",
      positional);
  if (!values) return 0;
  apply_general(*values);
  if (values->contains("recency")) KeyProbePolicy::check_recency((*values)["recency"].as<float>());
  const std::vector<std::string> names = files_from(*values);
  if (names.size() < 2) throw std::invalid_argument("files: must be at least two, is one; a mean of one changes nothing");

  PolicyFile out;
  std::vector<std::shared_ptr<const Policy>> policies;
  nlohmann::json parts = nlohmann::json::array();
  for (const std::string& name : names) {
    PolicyFile file = load_policy_file(name);
    try {
      require_averageable(policies.empty() ? *file.policy : *policies.front(), *file.policy);
      if (!policies.empty()) require_same_conditions(out, file);
    } catch (const std::invalid_argument& error) {
      throw std::runtime_error(name + ": " + error.what());
    }
    policies.push_back(file.policy);
    parts.push_back(file.provenance);
    if (policies.size() == 1) out = std::move(file);
  }
  out.policy = average(policies);
  out.provenance = {{"averaged", std::move(parts)}, {"date", today()}, {"version", version()}, {"commit", commit()}};
  if (values->contains("recency")) {
    const float recency = (*values)["recency"].as<float>();
    try {
      out.policy = with_recency(*out.policy, recency);
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument("--" + std::string(error.what()) + "; leave it out");
    }
    out.provenance["recency"] = detail::number_of(recency);
  }
  const std::string path = (*values)["output"].as<std::string>();
  save_policy_file(path, out);
  std::cout << "policy: " << path << " (mean of " << names.size() << ", " << out.policy->name() << ", "
            << out.policy->parameter_count() << " parameters)\n";
  return 0;
}

}  // namespace namm::cli
