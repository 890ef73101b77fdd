#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <tuple>

#include "evolve/fitness/make.hpp"
#include "evolve/recording.hpp"
#include "trace/recorder.hpp"
#include "trace/replay.hpp"

namespace namm::evolve {
namespace {

constexpr std::size_t kMostBytes = std::size_t{2} << 30;  // of prompts remembered; the oldest go first

/// One prompt, evaluated once: what policies read of it, and the full cache at its end.
struct Prefill {
  std::mutex mutex;  // held by who fills it in
  trace::Settings settings;
  trace::PromptRecord record;
  std::shared_ptr<const Policy> reads;            // keeps the reader of `content` alive: its address is part of the key
  std::shared_ptr<const trace::Content> content;  // what it read; null if nothing does
  std::shared_ptr<const Snapshot> snapshot;
  std::size_t bytes = 0;
};

/// Statistics that a recorder leaves out unless asked for all.
bool reads_history(const Policy& policy) {
  return policy.required().has(Statistic::spectrogram) || policy.required().has(Statistic::window_mean);
}

/// What keys and values are read with; null if they are not.
const ContentReader* reader_of(const Memory& memory) {
  const bool reads = memory.policy && memory.policy->required().has(Statistic::content);
  return reads ? memory.policy->reader() : nullptr;
}

std::size_t bytes_of(const trace::Content& content) {
  return std::accumulate(content.begin(), content.end(), std::size_t{0},
                         [](std::size_t sum, const std::vector<float>& head) { return sum + head.size() * sizeof(float); });
}

/// Mean log-likelihood of the gold answer, as answer-likelihood, without a prefill per candidate: evictions are replayed on what
/// one full prefill recorded, and only question and answer are evaluated, with the kept tokens of the full cache. Differs from a
/// live run from the first eviction on: attention and later tokens are those of the full cache, and nothing is dropped while
/// question and answer are read.
class SemiLive final : public Fitness {
 public:
  std::string_view name() const override { return "semi-live"; }
  Relation relation() const override { return Relation::difference; }
  double measure(Host& host, const Memory& memory, const Prompt& prompt, const ProtocolSettings& protocol) const override {
    if (prompt.answer.empty())
      throw std::invalid_argument("semi-live: every prompt must have a gold answer, prompt '" + prompt.sample.id +
                                  "' has none; leave plain texts out");
    const std::shared_ptr<Prefill> prefill = prefill_of(host, memory, prompt, protocol);
    std::vector<HeadContent> kept;
    if (memory.policy && !memory.policy->keeps_everything()) {
      trace::Replay replay(prefill->settings, prefill->record, memory, prefill->content);
      replay.advance();
      replay.update();
      kept = replay.content();
    }
    host.branch(*prefill->snapshot, kept);
    if (protocol.question_after && !prompt.question.empty()) host.evaluate(prompt.question);
    const std::vector<double> nats = host.log_likelihood(prompt.answer);
    return std::accumulate(nats.begin(), nats.end(), 0.0) / static_cast<double>(prompt.answer.size());
  }

 private:
  using Key = std::tuple<std::string, std::size_t, std::size_t, bool, int, float, const ContentReader*, bool>;

  std::shared_ptr<Prefill> prefill_of(Host& host, const Memory& memory, const Prompt& prompt,
                                      const ProtocolSettings& protocol) const {
    Key key{prompt.sample.id,       prompt.context.size(),    prompt.answer.size(), protocol.question_after,
            memory.interval_tokens, memory.spectrogram.decay, reader_of(memory),    false};
    bool& all = std::get<7>(key);
    std::shared_ptr<Prefill> found;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      all = all_ = all_ || (memory.policy && reads_history(*memory.policy));
      std::shared_ptr<Prefill>& known = known_[key];
      if (!known) known = std::make_shared<Prefill>();
      found = known;
    }
    const std::lock_guard<std::mutex> lock(found->mutex);
    if (!found->snapshot) {
      evaluate(host, memory, prompt, protocol, all, *found);
      remember(key, found);
    }
    return found;
  }

  static void evaluate(Host& host, const Memory& memory, const Prompt& prompt, const ProtocolSettings& protocol, bool all,
                       Prefill& out) {
    const ContentReader* const reader = reader_of(memory);
    trace::Settings settings;
    settings.host = host.description();
    settings.interval_tokens = memory.interval_tokens;
    settings.spectrogram = memory.spectrogram;
    settings.all_statistics = all;
    settings.rows = reader != nullptr ? trace::Rows::f32 : trace::Rows::none;
    settings.question_after = protocol.question_after;
    for (const LayerDescription& layer : settings.host.cached) {
      if (layer.window != 0) continue;
      settings.layers.push_back({layer, std::vector<int>(static_cast<std::size_t>(layer.kv_heads))});
      std::iota(settings.layers.back().heads.begin(), settings.layers.back().heads.end(), 0);
    }
    const auto recorder = std::make_shared<trace::Recorder>(settings, facts_of(prompt, protocol.question_after));
    Memory recording;
    recording.policy = recorder;
    recording.spectrogram = memory.spectrogram;
    recording.interval_tokens = memory.interval_tokens;
    host.reset(recording);
    host.evaluate(prompt.context);
    if (!protocol.question_after && !prompt.question.empty()) host.evaluate(prompt.question);
    host.update();
    out.snapshot = host.snapshot();
    if (!out.snapshot)
      throw std::invalid_argument("semi-live: needs a host that can go on from a snapshot; use answer-likelihood");
    const trace::PromptRecord record = recorder->finish();
    if (reader != nullptr) {
      out.reads = memory.policy;
      out.content = std::make_shared<const trace::Content>(trace::read_content(record, *reader));
    }
    // keys and values are most of the record, and every candidate of an evolution reads them with the same reader
    out.settings = settings;
    out.settings.rows = trace::Rows::none;
    out.record = trace::without_rows(record, out.settings);
    out.bytes = out.snapshot->bytes() + trace::record_bytes(out.settings, record.facts.compressed.size()) +
                (out.content ? bytes_of(*out.content) : 0);
  }

  void remember(const Key& key, const std::shared_ptr<Prefill>& made) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    order_.emplace_back(key, made);
    bytes_ += made->bytes;
    while (bytes_ > kMostBytes && order_.size() > 1) {
      const auto& [oldest, prefill] = order_.front();
      bytes_ -= prefill->bytes;
      if (const auto known = known_.find(oldest); known != known_.end() && known->second == prefill) known_.erase(known);
      order_.pop_front();
    }
  }

  mutable std::mutex mutex_;  // guards what follows
  mutable std::map<Key, std::shared_ptr<Prefill>> known_;
  mutable std::deque<std::pair<Key, std::shared_ptr<Prefill>>> order_;
  mutable std::size_t bytes_ = 0;
  mutable bool all_ = false;  // some policy met so far reads more than the accumulated attention
};

}  // namespace

std::unique_ptr<Fitness> make_semi_live() {
  return std::make_unique<SemiLive>();
}

}  // namespace namm::evolve
