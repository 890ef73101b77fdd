#include "calibrate/run.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <stdexcept>

#include "calibrate/state_file.hpp"

namespace namm::calibrate {
namespace {

constexpr std::chrono::seconds kSaveEvery(30);  // the sums of a model can be some gigabytes

Passage passage_of(const Host& host, const Settings& settings, std::size_t index) {
  return make_passage(host, settings.target, settings.sources[index], settings.lengths[index % settings.lengths.size()],
                      settings.chat_template, settings.seed + index);
}

/// Evaluates a passage with nothing evicted and gives what was recorded.
std::shared_ptr<const Recorder> record(Host& host, const Settings& settings, const Passage& passage) {
  const auto recorder =
      std::make_shared<Recorder>(settings.input, static_cast<std::int32_t>(passage.context.size()), passage.queries);
  Memory memory;
  memory.policy = recorder;
  memory.interval_tokens = 1 << 24;
  host.reset(memory);
  host.evaluate(passage.context);
  if (!passage.tail.empty()) host.evaluate(passage.tail);
  host.reset({});
  return recorder;
}

/// Adds the recordings of all sources to the sums, in their order, so that the number of workers does not show in the last bits.
/// False if it was stopped.
bool record_all(const Settings& settings, evolve::HostPool& pool, ProbeFit& fit, std::int64_t& tokens_done,
                const std::function<void(std::size_t)>& added, const std::atomic<bool>* stop) {
  const std::size_t all = settings.sources.size();
  while (fit.recordings() < all) {
    const std::size_t first = fit.recordings(), count = std::min(all - first, static_cast<std::size_t>(pool.workers()));
    std::vector<std::shared_ptr<const Recorder>> recordings(count);
    std::vector<std::size_t> tokens(count);
    const bool finished = pool.run(
        count,
        [&](std::size_t i, Host& host) {
          const Passage passage = passage_of(host, settings, first + i);
          tokens[i] = passage.tokens();
          recordings[i] = record(host, settings, passage);
        },
        stop);
    if (!finished) return false;
    for (std::size_t i = 0; i < count; ++i) {
      fit.add(*recordings[i], first + i);
      tokens_done += static_cast<std::int64_t>(tokens[i]);
    }
    added(fit.recordings());
  }
  return true;
}

}  // namespace

Plan plan(const Host& host, const Settings& settings) {
  Plan out;
  for (std::size_t i = 0; i < settings.sources.size(); ++i) {
    const Passage passage = passage_of(host, settings, i);
    out.tokens += static_cast<std::int64_t>(passage.tokens());
    out.longest = std::max(out.longest, passage.tokens());
    out.longest_context = std::max(out.longest_context, passage.context.size());
  }
  return out;
}

Outcome run(const Settings& settings, evolve::HostPool& pool, const evolve::Progress& progress, const std::atomic<bool>* stop) {
  ProbeFit fit(settings.input, settings.read_out, pool.host().description());
  Outcome out;
  if (settings.resume) load_state(settings.state, settings.identity, fit);
  auto saved = std::chrono::steady_clock::now();
  std::size_t saved_recordings = fit.recordings();
  const auto save = [&] {
    if (fit.recordings() == saved_recordings) return;
    save_state(settings.state, settings.identity, fit);
    saved = std::chrono::steady_clock::now();
    saved_recordings = fit.recordings();
  };
  const auto added = [&](std::size_t recordings) {
    if (std::chrono::steady_clock::now() - saved > kSaveEvery) save();
    if (progress) progress(recordings, settings.sources.size());
  };
  try {
    out.stopped = !record_all(settings, pool, fit, out.tokens, added, stop);
  } catch (...) {
    save();
    throw;
  }
  save();
  out.recordings = fit.recordings();
  if (out.recordings > 0) out.fit = fit.fit();
  return out;
}

}  // namespace namm::calibrate
