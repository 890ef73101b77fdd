#include <map>
#include <mutex>
#include <stdexcept>

#include "evolve/fitness/make.hpp"
#include "trace/retained.hpp"
#include "trace/trace_host.hpp"

namespace namm::evolve {
namespace {

/// S*: the share of the answer positions' attention that the kept tokens hold, heads weighted by what they contribute
/// (trace/retained.hpp). On traces, without a model: a surrogate that claims no live quality.
class Retention final : public Fitness {
 public:
  std::string_view name() const override { return "retention"; }
  Relation relation() const override { return Relation::difference; }
  double measure(Host& host, const CachePolicy& memory, const Prompt& prompt, const ProtocolSettings& protocol) const override {
    auto* const recorded = dynamic_cast<trace::TraceHost*>(&host);
    if (recorded == nullptr)
      throw std::invalid_argument(
          "retention: needs recorded prompts, has a model; give --traces FILE, as 'namm trace' writes it");
    const std::vector<double>& weights = weights_of(recorded->trace(), memory.selection.sinks);
    present(host, memory, prompt, protocol);
    return trace::retained_attention(recorded->prompt(), recorded->replay().kept(), weights, memory.selection.sinks);
  }

 private:
  /// Computed once per trace: the same file for all workers.
  const std::vector<double>& weights_of(const trace::Reader& trace, int sinks) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto [found, fresh] = weights_.try_emplace({&trace, sinks});
    if (fresh) found->second = trace::head_weights(trace, trace::HeadWeights::contribution, sinks);
    return found->second;
  }

  mutable std::mutex mutex_;
  mutable std::map<std::pair<const trace::Reader*, int>, std::vector<double>> weights_;
};

}  // namespace

std::unique_ptr<Fitness> make_retention() {
  return std::make_unique<Retention>();
}

}  // namespace namm::evolve
