#include "calibrate/run.hpp"

#include <algorithm>
#include <stdexcept>

#include "calibrate/state_file.hpp"

namespace namm::calibrate {
namespace {

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
  ProbeFit fit(settings.input, pool.host().description());
  Outcome out;
  if (settings.resume) load_state(settings.state, settings.identity, fit);
  const std::size_t all = settings.sources.size();
  while (fit.recordings() < all && !out.stopped) {
    // the sums are added in the order of the sources, so that the number of workers does not show in the last bits
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
    if (!finished) {
      out.stopped = true;
      break;
    }
    for (std::size_t i = 0; i < count; ++i) {
      fit.add(*recordings[i], first + i);
      out.tokens += static_cast<std::int64_t>(tokens[i]);
    }
    save_state(settings.state, settings.identity, fit);
    if (progress) progress(fit.recordings(), all);
  }
  out.recordings = fit.recordings();
  if (out.recordings > 0) out.fit = fit.fit();
  return out;
}

}  // namespace namm::calibrate
