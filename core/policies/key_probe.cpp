#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <string>

#include "base/json_fields.hpp"
#include "core/policies/check_parameters.hpp"
#include "core/policies/key_probe.hpp"
#include "core/policies/make.hpp"
#include "core/selection/ranking.hpp"

namespace namm {
namespace {

constexpr float kHalfAge = 64;  // tokens older than the newest by this count half at a recency of 1 (experiments/calibrate)
constexpr float kLargestRecency = 4;

bool is_recency(float value) {
  return value >= 0 && value <= kLargestRecency;
}

bool are_shares(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return value >= 0 && value <= 1; });
}

/// Gives the largest of `worth` to the token that `scores` puts first, the second to the second and so on; of equal ones the
/// newer is before the older.
void hand_out(std::span<const float> worth, std::span<float> scores) {
  std::vector<std::uint64_t> order(scores.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = (std::uint64_t{detail::ordered_bits(scores[i])} << 32) | i;
  std::sort(order.begin(), order.end());
  std::vector<float> ascending(worth.begin(), worth.end());
  std::sort(ascending.begin(), ascending.end(),
            [](float a, float b) { return detail::ordered_bits(a) < detail::ordered_bits(b); });  // a total order, whatever comes
  for (std::size_t i = 1; i < ascending.size(); ++i)  // equal ones must not be told apart by anything else
    if (ascending[i] <= ascending[i - 1]) ascending[i] = std::nextafter(ascending[i - 1], std::numeric_limits<float>::infinity());
  for (std::size_t i = 0; i < order.size(); ++i) scores[order[i] & 0xffffffffu] = ascending[i];
}

}  // namespace

KeyProbePolicy::KeyProbePolicy(std::shared_ptr<const TokenProbe> probe, float recency, std::vector<float> evenness)
    : probe_(std::move(probe)), recency_(recency), evenness_(std::move(evenness)) {
  check_recency(recency);
  std::size_t heads = 0;
  for (const ProbeLayer& layer : probe_->layers()) heads += static_cast<std::size_t>(layer.kv_heads);
  if (!evenness_.empty() && (evenness_.size() != heads || !are_shares(evenness_)))
    throw std::invalid_argument("evenness: must be of " + std::to_string(heads) + " heads, each from 0 to 1, is not");
  offsets_.assign(heads, 0.0f);
}

void KeyProbePolicy::check_recency(float recency) {
  if (is_recency(recency)) return;
  std::ostringstream text;
  text << "recency: must be from 0 to " << kLargestRecency << ", is " << recency << "; 2 is usual, 0 leaves the age out";
  throw std::invalid_argument(text.str());
}

void KeyProbePolicy::score(const HeadTokens& tokens, std::span<float> scores) const {
  const std::optional<std::size_t> head = number_of(tokens.layer, tokens.kv_head);
  const bool within = !evenness_.empty();  // the head
  const float recency = recency_ * (within ? (head ? evenness_[*head] : 0.0f) : 1.0f);
  const std::int32_t newest = tokens.positions.empty() ? 0 : tokens.positions.back();
  std::copy(tokens.content.begin(), tokens.content.end(), scores.begin());
  if (recency != 0) {
    for (std::size_t i = 0; i < scores.size(); ++i)
      scores[i] -= recency * std::log(1 + static_cast<float>(newest - tokens.positions[i]) / kHalfAge);
    if (within) hand_out(tokens.content, scores);
  }
  const float offset = head ? offsets_[*head] : 0.0f;
  for (float& score : scores) score += offset;
}

std::optional<std::size_t> KeyProbePolicy::number_of(int layer, int kv_head) const {
  std::size_t first = 0;
  for (const ProbeLayer& known : probe_->layers()) {
    if (known.layer == layer && kv_head < known.kv_heads) return first + static_cast<std::size_t>(kv_head);
    first += static_cast<std::size_t>(known.kv_heads);
  }
  return std::nullopt;  // the probe refused such a layer when its tokens came in
}

void KeyProbePolicy::set_parameters(std::span<const float> parameters) {
  detail::check_parameters(name(), parameters, offsets_.size());
  offsets_.assign(parameters.begin(), parameters.end());
}

nlohmann::json KeyProbePolicy::to_json() const {
  nlohmann::json out = {{"probe", probe_->to_json()}};
  if (recency_ != 0) out["recency"] = detail::number_of(recency_);
  if (!evenness_.empty()) out["evenness"] = detail::numbers_of(evenness_);
  if (std::any_of(offsets_.begin(), offsets_.end(), [](float x) { return x != 0; }))
    out["offsets"] = detail::numbers_of(offsets_);
  return out;
}

KeyProbePolicy KeyProbePolicy::from_fields(const detail::JsonFields& fields) {
  if (!fields.has("probe"))
    fields.refuse("probe", "the probes of one model", "'namm calibrate' writes a policy file with them; name that file");
  const float recency = fields.has("recency") ? fields.number("recency") : 0.0f;
  if (!is_recency(recency)) fields.refuse("recency", "a number from 0 to 4");
  KeyProbePolicy out(TokenProbe::from_json(fields.need("probe"), "policy.probe."), recency);
  if (fields.has("evenness")) {
    out.evenness_ = fields.numbers("evenness", out.offsets_.size());
    if (!are_shares(out.evenness_)) fields.refuse("evenness", "numbers from 0 to 1");
  }
  if (fields.has("offsets")) out.set_parameters(fields.numbers("offsets", out.parameter_count()));
  return out;
}

std::unique_ptr<Policy> make_key_probe(const nlohmann::json& settings) {
  const detail::JsonFields fields(settings, "policy.");
  fields.allow_only({"probe", "offsets", "recency", "evenness"});
  return std::make_unique<KeyProbePolicy>(KeyProbePolicy::from_fields(fields));
}

std::shared_ptr<const Policy> with_recency(const Policy& policy, float recency) {
  const auto* const calibrated = dynamic_cast<const KeyProbePolicy*>(&policy);
  if (calibrated == nullptr)
    throw std::invalid_argument("recency: must belong to a policy of 'namm calibrate', this is " + std::string(policy.name()));
  auto out = std::make_shared<KeyProbePolicy>(calibrated->probe(), recency, calibrated->evenness());
  out->set_parameters(calibrated->parameters());
  return out;
}

}  // namespace namm
