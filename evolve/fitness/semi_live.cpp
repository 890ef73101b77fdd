#include <mutex>
#include <numeric>
#include <stdexcept>
#include <tuple>

#include "evolve/fitness/make.hpp"
#include "evolve/fitness/prompt_memory.hpp"
#include "evolve/recording.hpp"
#include "trace/recorder.hpp"
#include "trace/replay.hpp"

namespace namm::evolve {
namespace {

/// One prompt, evaluated once: what policies read of it, and the full cache at its end.
struct Prefill {
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

bool reads_content(const CachePolicy& memory) {
  return memory.policy && memory.policy->required().has(Statistic::content) && memory.policy->reader() != nullptr;
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
  double measure(Host& host, const CachePolicy& memory, const Prompt& prompt, const ProtocolSettings& protocol) const override {
    return measure_together(host, std::span(&memory, 1), prompt, protocol).front();
  }
  void remember_at_most(std::size_t bytes) override { remembered_.limit(bytes); }
  /// Question and answer are short: read behind several candidates' cells at once, they cost less (llama::TailBatch::kMost).
  std::size_t together() const override { return 8; }
  std::vector<double> measure_together(Host& host, std::span<const CachePolicy> memories, const Prompt& prompt,
                                       const ProtocolSettings& protocol) const override {
    if (prompt.answer.empty())
      throw std::invalid_argument("semi-live: every prompt must have a gold answer, prompt '" + prompt.sample.id +
                                  "' has none; for plain texts give --fitness fidelity");
    const std::span<const Token> question =
        protocol.question_after ? std::span<const Token>(prompt.question) : std::span<const Token>();
    std::vector<double> out;
    while (out.size() < memories.size()) {
      const std::span<const CachePolicy> some = same_prefill(memories.subspan(out.size()));
      const std::shared_ptr<const Prefill> prefill = prefill_of(host, some, prompt, protocol);
      std::vector<std::vector<HeadContent>> kept;
      for (const CachePolicy& memory : some) kept.push_back(kept_by(memory, *prefill));
      for (const std::vector<double>& nats : host.branch_log_likelihoods(*prefill->snapshot, kept, question, prompt.answer))
        out.push_back(std::accumulate(nats.begin(), nats.end(), 0.0) / static_cast<double>(prompt.answer.size()));
    }
    return out;
  }

 private:
  struct Key {
    std::tuple<std::uint64_t, bool, int, float> prompt;  // its tokens, and how it is compressed
    const ContentReader* reader = nullptr;               // of Prefill::content
    bool all = false;                                    // all statistics
    auto operator<=>(const Key&) const = default;
    /// Nobody asks for this one any more once there is `other`.
    bool poorer_than(const Key& other) const {
      return prompt == other.prompt && ((reader == nullptr && other.reader != nullptr) || (!all && other.all));
    }
  };

  /// The first ones that one prefill can serve. What is read side by side follows from them alone, not from what is remembered.
  static std::span<const CachePolicy> same_prefill(std::span<const CachePolicy> memories) {
    const ContentReader* reader = nullptr;
    std::size_t count = 0;
    for (const CachePolicy& memory : memories) {
      if (memory.interval_tokens != memories[0].interval_tokens || memory.spectrogram != memories[0].spectrogram) break;
      if (reads_content(memory)) {
        if (reader != nullptr && reader != memory.policy->reader()) break;
        reader = memory.policy->reader();
      }
      ++count;
    }
    return memories.first(count);
  }

  /// What a memory would have kept; empty: everything.
  static std::vector<HeadContent> kept_by(const CachePolicy& memory, const Prefill& prefill) {
    if (!memory.drops()) return {};
    trace::Replay replay(prefill.settings, prefill.record, memory, reads_content(memory) ? prefill.content : nullptr);
    replay.advance();
    replay.update();
    return replay.content();
  }

  std::shared_ptr<const Prefill> prefill_of(Host& host, std::span<const CachePolicy> memories, const Prompt& prompt,
                                            const ProtocolSettings& protocol) const {
    const CachePolicy& memory = memories.front();
    Key key{{token_hash(prompt), protocol.question_after, memory.interval_tokens, memory.spectrogram.decay}};
    std::shared_ptr<const Policy> reads;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (const CachePolicy& one : memories) {
        if (reads_content(one)) reads_ = one.policy;
        all_ = all_ || (one.policy && reads_history(*one.policy));
      }
      reads = reads_;
      key.reader = reads ? reads->reader() : nullptr;
      key.all = all_;
    }
    return remembered_.get(key, [&] {
      const auto made = std::make_shared<Prefill>();  // filled in where it stays: the record points to its settings
      evaluate(host, memory, prompt, protocol, reads, key.all, *made);
      // such as the full cache's, before any policy that reads keys was met
      remembered_.forget_first([&](const Key& other) { return other.poorer_than(key); });
      return made;
    });
  }

  static void evaluate(Host& host, const CachePolicy& memory, const Prompt& prompt, const ProtocolSettings& protocol,
                       const std::shared_ptr<const Policy>& reads, bool all, Prefill& out) {
    trace::Settings settings;
    settings.host = host.description();
    settings.interval_tokens = memory.interval_tokens;
    settings.spectrogram = memory.spectrogram;
    settings.all_statistics = all;
    settings.rows = reads ? trace::Rows::f32 : trace::Rows::none;
    settings.question_after = protocol.question_after;
    for (const LayerDescription& layer : settings.host.cached) {
      if (layer.window != 0) continue;
      settings.layers.push_back({layer, std::vector<int>(static_cast<std::size_t>(layer.kv_heads))});
      std::iota(settings.layers.back().heads.begin(), settings.layers.back().heads.end(), 0);
    }
    const auto recorder = std::make_shared<trace::Recorder>(settings, facts_of(prompt, protocol.question_after));
    CachePolicy recording;
    recording.observer = recorder;
    recording.spectrogram = memory.spectrogram;
    recording.interval_tokens = memory.interval_tokens;
    host.reset(recording);
    host.evaluate(prompt.context);
    if (!protocol.question_after && !prompt.question.empty()) host.evaluate(prompt.question);
    host.update();
    auto snapshot = host.snapshot();
    if (!snapshot) throw std::invalid_argument("semi-live: needs a host that can go on from a snapshot; use answer-likelihood");
    host.reset({});  // nothing holds the recorder any more
    const trace::PromptRecord record = recorder->finish();
    if (reads) {
      out.reads = reads;
      out.content = std::make_shared<const trace::Content>(trace::read_content(record, *reads->reader()));
    }
    // keys and values are most of the record, and every candidate of an evolution reads them with the same reader
    out.settings = settings;
    out.settings.rows = trace::Rows::none;
    out.record = trace::without_rows(record, out.settings);
    out.bytes = snapshot->bytes() + trace::record_bytes(out.settings, record.facts.compressed.size()) +
                (out.content ? bytes_of(*out.content) : 0);
    out.snapshot = std::move(snapshot);
  }

  mutable PromptMemory<Key, Prefill> remembered_;
  mutable std::mutex mutex_;  // guards what follows
  // what the policies met so far read, so that one prefill serves them all: with whose reader, and whether more than sums
  mutable std::shared_ptr<const Policy> reads_;
  mutable bool all_ = false;
};

}  // namespace

std::unique_ptr<Fitness> make_semi_live() {
  return std::make_unique<SemiLive>();
}

}  // namespace namm::evolve
