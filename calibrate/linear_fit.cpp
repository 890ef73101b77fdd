#include "calibrate/linear_fit.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "calibrate/probe_fit.hpp"
#include "calibrate/ridge.hpp"
#include "trace/content.hpp"
#include "trace/replay.hpp"

namespace namm::calibrate {
namespace {

constexpr double kPenalty = 1e-4;

/// What a policy's network is given and added to, of the tokens of one head.
struct HeadRows {
  std::vector<float> features;  ///< [token][width]
  std::vector<float> base;      ///< [token]; empty without a calibrated policy
};

/// Keeps these of every head it is shown; the last update stays.
class FeatureRows final : public Observer {
 public:
  explicit FeatureRows(const NetworkPolicy& of) : of_(of) {}
  std::string_view name() const override { return "feature-rows"; }
  StatisticSet required() const override { return of_.required(); }
  const ContentReader* reader() const override { return of_.reader(); }
  void on_update(const HeadTokens& tokens) override {
    HeadRows rows;
    rows.features.resize(tokens.size() * of_.features().width);
    of_.features().compute(tokens, of_.normalisation(), rows.features);
    if (of_.base()) {
      rows.base.resize(tokens.size());
      of_.base()->score(tokens, rows.base);
    }
#pragma omp critical(namm_feature_rows)
    heads_[{tokens.layer, tokens.kv_head}] = std::move(rows);
  }

  const HeadRows& head(int layer, int kv_head) const {
    return heads_.at({layer, kv_head});
  }

 private:
  const NetworkPolicy& of_;
  std::map<std::pair<int, int>, HeadRows> heads_;
};

/// Calls use(layer, its recorded head, what that head's tokens look like) for every head of every prompt, in their order.
template <typename Use>
void for_each_head(const NetworkPolicy& policy, const trace::Reader& trace, const SpectrogramSettings& spectrogram,
                   const Use& use) {
  for (const trace::PromptRecord* const prompt : trace.training_prompts()) {
    const auto rows = std::make_shared<FeatureRows>(policy);
    CachePolicy memory;
    memory.observer = rows;
    memory.spectrogram = spectrogram;
    memory.interval_tokens = trace.settings().interval_tokens;
    trace::Replay replay(trace.settings(), *prompt, memory, trace::content_for(*prompt, memory));
    replay.update();
    for (const trace::LayerRecord& layer : prompt->layers)
      for (std::size_t h = 0; h < layer.layer().heads.size(); ++h)
        use(layer, h, rows->head(layer.layer().shape.layer, layer.layer().heads[h]));
  }
}

}  // namespace

std::shared_ptr<const Policy> fit_linear(const NetworkPolicy& policy, const trace::Reader& trace,
                                         const SpectrogramSettings& spectrogram, int sinks) {
  const FeatureSet& features = policy.features();
  const std::size_t width = features.width, protected_tokens = static_cast<std::size_t>(std::max(sinks, 0));
  NormalEquations equations(width, 1);
  std::vector<float> targets;
  for_each_head(policy, trace, spectrogram, [&](const trace::LayerRecord& layer, std::size_t h, const HeadRows& rows) {
    const std::span<const float> attention = layer.token_values(h, trace::Layout::answer);
    if (attention.size() <= protected_tokens) return;
    targets.clear();
    for (std::size_t i = protected_tokens; i < attention.size(); ++i) {
      targets.push_back(std::log(attention[i] + kAttentionFloor));
      if (!rows.base.empty()) targets.back() -= rows.base[i];  // the network's output is added to it
    }
    equations.add(rows.features.data() + protected_tokens * width, targets.size(), width, targets);
  });
  const Eigen::VectorXf weights = equations.solve(kPenalty).cast<float>();
  auto fitted = std::make_shared<NetworkPolicy>(policy);
  fitted->set_read_out({weights.data(), static_cast<std::size_t>(weights.size())});
  return fitted;
}

}  // namespace namm::calibrate
