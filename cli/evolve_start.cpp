#include "cli/evolve_start.hpp"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "calibrate/linear_fit.hpp"
#include "core/policies/network_policy.hpp"
#include "namm/policy.hpp"

namespace namm::cli {
namespace {

constexpr const char* kZeros = "zeros";
constexpr const char* kLeastSquares = "least-squares";

/// --probe: the policy is added to a calibrated one.
void add_probe(const EvolveOptions& options, PolicyFile& file, nlohmann::json& settings) {
  const std::string& name = *options.probe;
  const PolicyFile calibrated = resolve_policy(name);
  const auto base = calibrated_of(*calibrated.policy);
  if (!base)
    throw std::invalid_argument("--probe: must be a policy file with a probe, as 'namm calibrate' writes them, is \"" + name +
                                "\"");
  if (!options.features) settings["features"] = "probe";
  settings.update(base->to_json());
  file.selection = calibrated.selection;
  file.interval_tokens = calibrated.interval_tokens;
}

/// --start FILE: a policy that begins as the linear one in the file.
PolicyFile containing(const EvolveOptions& options) {
  const std::string& name = options.start;
  PolicyFile file = load_policy_file(name);
  const auto* const linear = dynamic_cast<const NetworkPolicy*>(file.policy.get());
  if (linear == nullptr || linear->name() != "linear")
    throw std::invalid_argument("--start: must be a file of a linear policy, '" + name + "' has " +
                                std::string(file.policy->name()) + "; begin with it as --policy");
  const std::string features(linear->features().name);
  if (options.features && *options.features != features)
    throw std::invalid_argument("--features: must be those of the start, " + features + ", are " + *options.features +
                                "; leave them out");
  if (options.probe)
    throw std::invalid_argument("--probe: must not be given with --start " + name + ", which has the features " + features +
                                " and their probe, if any; leave it out");
  nlohmann::json settings = linear->to_json();
  settings.erase("weights");
  std::unique_ptr<Policy> policy = make_policy(options.policy, settings);
  dynamic_cast<NetworkPolicy&>(*policy).set_read_out(linear->parameters());
  file.policy = std::move(policy);
  return file;
}

}  // namespace

bool is_existing_policy(const std::string& policy) {
  if (recorded_policy(policy) == kDefaultPolicyName) return true;
  return !is_policy_name(policy) && names_policy_file(policy);
}

bool is_start_file(const std::string& start) {
  return start != kZeros && start != kLeastSquares && names_policy_file(start);
}

EvolveStart start_from(const EvolveOptions& options) {
  const std::string &name = options.policy, &start = options.start;
  EvolveStart out;
  out.file = resolve_policy(name);
  if (out.file.policy->parameter_count() == 0)
    throw std::invalid_argument("--policy: must have parameters to evolve (namm, namm-mlp, linear or a policy file), is \"" +
                                name + "\"; `namm eval` measures the others as they are");
  out.fresh = !is_existing_policy(name);
  out.fitted = start == kLeastSquares;
  if (start != kZeros && !out.fitted && !is_start_file(start))
    throw std::invalid_argument("--start: must be zeros, least-squares or a file of a linear policy, is \"" + start + "\"");
  if (start != kZeros && !out.fresh)
    throw std::invalid_argument("--start: needs a new policy (linear, namm or namm-mlp), has \"" + name + "\"; leave it out");
  if (!out.fresh) return out;
  if (is_start_file(start)) {
    out.file = containing(options);
    out.fresh = false;
    return out;
  }
  nlohmann::json settings = {{"features", options.features.value_or("light")}};
  if (options.probe) add_probe(options, out.file, settings);
  out.file.policy = make_policy(name, settings);
  return out;
}

std::function<std::shared_ptr<const Policy>(const Policy&)> fitted_start(const EvolveOptions& options,
                                                                         const evolve::RunSettings& settings) {
  if (!options.trace)
    throw std::invalid_argument(
        "--start least-squares: needs recorded prompts (--traces), has none; record some (namm trace), or give --start the file "
        "of a run that began so");
  return [trace = options.trace, spectrogram = settings.spectrogram, sinks = settings.selection.sinks](const Policy& prototype) {
    return calibrate::fit_linear(dynamic_cast<const NetworkPolicy&>(prototype), *trace, spectrogram, sinks);
  };
}

}  // namespace namm::cli
