#include "evolve/normalisation.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace namm::evolve {

FeatureRecorder::FeatureRecorder(const FeatureSet& features, const HostDescription& host, const ContentReader* reader)
    : features_(&features), reader_(reader) {
  for (const LayerDescription& layer : host.cached) {
    for (int head = 0; head < layer.kv_heads; ++head) {
      slots_.push_back({layer.layer, head, NormalisationAccumulator(features.normalised.size())});
    }
  }
}

void FeatureRecorder::on_update(const HeadTokens& tokens) {
  const auto slot = std::find_if(slots_.begin(), slots_.end(),
                                 [&](const Slot& one) { return one.layer == tokens.layer && one.kv_head == tokens.kv_head; });
  if (slot == slots_.end()) {
    throw std::invalid_argument("host: layer " + std::to_string(tokens.layer) + ", head " + std::to_string(tokens.kv_head) +
                                " is shown but not in the host's description");
  }
  if (slot->gathered.width() > 0) slot->gathered.add(features_->to_normalise(tokens));
}

void FeatureRecorder::merge_into(NormalisationAccumulator& total) const {
  for (const Slot& slot : slots_) total.merge(slot.gathered);
}

std::optional<Normalisation> gather_normalisation(HostPool& pool, const FeatureSet& features, std::span<const Prompt> prompts,
                                                  const SpectrogramSettings& spectrogram, int interval_tokens,
                                                  const ProtocolSettings& protocol, const ContentReader* reader,
                                                  const std::atomic<bool>* stop, const Progress& progress) {
  std::vector<std::shared_ptr<FeatureRecorder>> recorders;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    recorders.push_back(std::make_shared<FeatureRecorder>(features, pool.host().description(), reader));
  }
  const auto work = [&](std::size_t prompt, Host& host) {
    CachePolicy memory;
    memory.observer = recorders[prompt];
    memory.spectrogram = spectrogram;
    memory.interval_tokens = interval_tokens;
    present(host, memory, prompts[prompt], protocol);
  };
  if (!pool.run(prompts.size(), work, stop, progress)) return std::nullopt;
  NormalisationAccumulator total(features.normalised.size());
  for (const auto& recorder : recorders) recorder->merge_into(total);
  return total.result();
}

}  // namespace namm::evolve
