#pragma once
#include <atomic>
#include <optional>
#include <span>
#include <vector>

#include "core/features/feature_set.hpp"
#include "host/host_pool.hpp"
#include "host/protocol.hpp"

namespace namm::evolve {

/// Gathers the raw features of every token it is shown, at every update. One per prompt; heads have accumulators of their own, so
/// that threads of a host do not meet and the result does not depend on their order.
class FeatureRecorder final : public Observer {
 public:
  /// `reader`: what fills Statistic::content if the features have it; lives longer than the recorder.
  FeatureRecorder(const FeatureSet& features, const HostDescription& host, const ContentReader* reader = nullptr);
  std::string_view name() const override { return "feature-recorder"; }
  StatisticSet required() const override { return features_->required; }
  const ContentReader* reader() const override { return reader_; }
  /// Throws std::invalid_argument if the host did not describe this layer and head.
  void on_update(const HeadTokens& tokens) override;

  /// Merges what was gathered into `total`, heads in the order of the host's description.
  void merge_into(NormalisationAccumulator& total) const;

 private:
  struct Slot {
    int layer, kv_head;
    NormalisationAccumulator gathered;
  };
  const FeatureSet* features_;
  const ContentReader* reader_;
  std::vector<Slot> slots_;  // ascending by layer and head
};

/// Feature statistics over all layers, heads, tokens and updates of these prompts with nothing evicted, every token and update
/// with equal weight (spec section 3). The same for any number of workers. Nothing if `stop` became true.
std::optional<Normalisation> gather_normalisation(HostPool& pool, const FeatureSet& features, std::span<const Prompt> prompts,
                                                  const SpectrogramSettings& spectrogram, int interval_tokens,
                                                  const ProtocolSettings& protocol, const ContentReader* reader = nullptr,
                                                  const std::atomic<bool>* stop = nullptr, const Progress& progress = {});

}  // namespace namm::evolve
