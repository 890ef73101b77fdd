#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "adapters/python/src/bind.hpp"
#include "core/policy_file.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace namm::python {
namespace {

std::span<const float> span_of(const std::optional<Floats1>& values) {
  return values ? std::span(values->data(), values->size()) : std::span<const float>();
}

void require_size(const std::optional<Floats1>& values, std::size_t count, const char* what) {
  if (values && values->size() != count)
    throw std::invalid_argument(std::string(what) + ": must have one number per token (" + std::to_string(count) + "), has " +
                                std::to_string(values->size()));
}

nb::ndarray<nb::numpy, float, nb::ndim<1>> scores_of(
    const PolicyObject& self, const Ints1& positions, int layer, int kv_head, const std::optional<Floats2>& spectrogram,
    const std::optional<Floats1>& accumulated, const std::optional<Floats1>& queries_seen, const std::optional<Floats1>& last_row,
    const std::optional<Floats1>& window_mean, const std::optional<Floats1>& key_norm, const std::optional<Floats1>& value_norm,
    const std::optional<Floats1>& content) {
  const std::size_t count = positions.size();
  if (!self.policy.policy || self.policy.policy->keeps_everything()) return to_array(std::vector<float>(count));
  if (spectrogram && (spectrogram->shape(0) != count || spectrogram->shape(1) != static_cast<std::size_t>(kBins)))
    throw std::invalid_argument("spectrogram: must be [" + std::to_string(count) + "][17], is [" +
                                std::to_string(spectrogram->shape(0)) + "][" + std::to_string(spectrogram->shape(1)) + "]");
  HeadTokens tokens;
  tokens.layer = layer;
  tokens.kv_head = kv_head;
  tokens.positions = {positions.data(), count};
  tokens.tokens_seen = count > 0 ? positions.data()[count - 1] + 1 : 0;
  const StatisticSet needed = self.policy.policy->required();
  const auto take = [&](std::span<const float>& to, Statistic which, const std::optional<Floats1>& from, const char* what) {
    require_size(from, count, what);
    if (needed.has(which) && !from) throw std::invalid_argument(std::string(what) + ": is read by the policy, but missing");
    to = span_of(from);
  };
  if (needed.has(Statistic::spectrogram) && !spectrogram)
    throw std::invalid_argument("spectrogram: is read by the policy, but missing");
  if (spectrogram) tokens.spectrogram = {spectrogram->data(), spectrogram->size()};
  take(tokens.accumulated, Statistic::accumulated, accumulated, "accumulated");
  take(tokens.queries_seen, Statistic::queries_seen, queries_seen, "queries_seen");
  take(tokens.last_row, Statistic::last_row, last_row, "last_row");
  take(tokens.window_mean, Statistic::window_mean, window_mean, "window_mean");
  take(tokens.key_norm, Statistic::key_norm, key_norm, "key_norm");
  take(tokens.value_norm, Statistic::value_norm, value_norm, "value_norm");
  take(tokens.content, Statistic::content, content, "content");
  std::vector<float> scores(count);
  self.policy.policy->score(tokens, scores);
  return to_array(std::move(scores));
}

std::string policy_name(const PolicyObject& self) {
  return self.policy.policy ? std::string(self.policy.policy->name()) : "full";
}

std::string representation(const PolicyObject& self) {
  const SelectionSettings& selection = self.policy.selection;
  return "<namm.Policy " + policy_name(self) + ", budget " + to_string(selection.budget) + ", " +
         std::string(to_string(selection.mode)) + ", an update every " + std::to_string(self.policy.interval_tokens) + " tokens>";
}

std::vector<std::string> names() {
  std::vector<std::string> out = {std::string(kDefaultPolicyName)};
  for (const PolicyEntry& entry : policy_registry())
    if (!entry.fitted) out.push_back(entry.name);
  return out;
}

void save_policy(const PolicyObject& self, const std::string& path, const std::string& provenance) {
  if (!self.policy.policy) throw std::invalid_argument("policy: must be one that scores, is 'full'; there is nothing to save");
  PolicyFile file;
  static_cast<CachePolicy&>(file) = self.policy;
  file.provenance = nlohmann::json::parse(provenance, nullptr, false);
  if (!file.provenance.is_object()) throw std::invalid_argument("provenance: must be a JSON object, is none");
  save_policy_file(path, file);
}

}  // namespace

void bind_policy(nb::module_& module) {
  module.def("policy_names", &names);
  nb::class_<PolicyObject>(module, "Policy")
      .def(
          "__init__", [](PolicyObject* self, const std::string& name) { new (self) PolicyObject{load_policy(name)}; },
          "name_or_path"_a)
      .def(nb::init<const PolicyObject&>(), "policy"_a)
      .def(
          "with_budget",
          [](const PolicyObject& p, const std::string& budget) { return PolicyObject{p.policy.with_budget(budget)}; }, "budget"_a)
      .def(
          "with_mode", [](const PolicyObject& p, const std::string& mode) { return PolicyObject{p.policy.with_mode(mode)}; },
          "mode"_a)
      .def(
          "with_interval",
          [](const PolicyObject& p, int tokens) {
            if (tokens < 1) throw std::invalid_argument("interval: must be at least 1 token, is " + std::to_string(tokens));
            return PolicyObject{p.policy.with_interval(tokens)};
          },
          "tokens"_a)
      .def(
          "with_protection",
          [](const PolicyObject& p, int sinks, int recent) { return PolicyObject{p.policy.with_protection(sinks, recent)}; },
          "sinks"_a, "recent"_a)
      .def("save", &save_policy, "path"_a, "provenance"_a = "{}")
      .def("score", &scores_of, "positions"_a, nb::kw_only(), "layer"_a = 0, "kv_head"_a = 0, "spectrogram"_a = nb::none(),
           "accumulated"_a = nb::none(), "queries_seen"_a = nb::none(), "last_row"_a = nb::none(), "window_mean"_a = nb::none(),
           "key_norm"_a = nb::none(), "value_norm"_a = nb::none(), "content"_a = nb::none())
      .def_prop_ro("name", &policy_name)
      .def_prop_ro(
          "parameters",
          [](const PolicyObject& p) { return to_array(p.policy.policy ? p.policy.policy->parameters() : std::vector<float>()); },
          nb::rv_policy::move)
      .def_prop_ro("json", [](const PolicyObject& p) { return p.policy.policy ? p.policy.policy->to_json().dump() : "{}"; })
      .def_prop_ro("budget", [](const PolicyObject& p) { return to_string(p.policy.selection.budget); })
      .def_prop_ro("mode", [](const PolicyObject& p) { return std::string(to_string(p.policy.selection.mode)); })
      .def_prop_ro("interval", [](const PolicyObject& p) { return p.policy.interval_tokens; })
      .def_prop_ro("store", [](const PolicyObject& p) { return to_string(p.policy.store); })
      .def_prop_ro("sinks", [](const PolicyObject& p) { return p.policy.selection.sinks; })
      .def_prop_ro("recent", [](const PolicyObject& p) { return p.policy.selection.recent; })
      .def_prop_ro("drops", [](const PolicyObject& p) { return p.policy.drops(); })
      .def_prop_ro("updates", [](const PolicyObject& p) { return p.policy.updates(); })
      .def_prop_ro("reads_attention", [](const PolicyObject& p) { return p.policy.reads_attention(); })
      .def_prop_ro("reads_plain_keys", [](const PolicyObject& p) { return p.policy.reader() != nullptr; })
      .def_prop_ro("reads_keys",
                   [](const PolicyObject& p) { return p.policy.required().has(Statistic::key_norm) || p.policy.reader(); })
      .def_prop_ro("reads_values",
                   [](const PolicyObject& p) { return p.policy.required().has(Statistic::value_norm) || p.policy.reader(); })
      .def("__repr__", &representation);
}

}  // namespace namm::python
