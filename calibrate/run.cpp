#include "calibrate/run.hpp"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <stdexcept>

#include "calibrate/state_file.hpp"

namespace namm::calibrate {
namespace {

/// Evaluates a passage with nothing evicted and gives what was recorded.
std::shared_ptr<const Recorder> record(Host& host, const Settings& settings, const Passage& passage) {
  const auto recorder =
      std::make_shared<Recorder>(settings.probe.input, static_cast<std::int32_t>(passage.context.size()), passage.queries);
  CachePolicy memory;
  memory.observer = recorder;
  memory.interval_tokens = 1 << 24;
  host.reset(memory);
  host.evaluate(passage.context);
  if (!passage.tail.empty()) host.evaluate(passage.tail);
  host.reset({});
  return recorder;
}

/// Adds recordings to a fit in the order of their texts, whichever worker comes first, so that the number of workers does not
/// show in the last bits. Whoever brings the next one adds it, and those that wait for it, while the others go on recording;
/// nobody runs ahead by more than two texts per worker.
class InOrder {
 public:
  InOrder(ProbeFit& fit, std::size_t workers, const std::function<void()>& added)
      : fit_(fit), next_(fit.recordings()), ahead_(2 * workers), added_(added) {}

  /// Waits until text `index` may be recorded. False if it never will, since another one failed.
  bool wait_for_turn(std::size_t index) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return failed_ || index < next_ + ahead_; });
    return !failed_;
  }
  void add(std::size_t index, std::shared_ptr<const Recorder> recording) {
    std::unique_lock lock(mutex_);
    waiting_[index] = std::move(recording);
    if (adding_) return;  // who adds takes this one, too
    adding_ = true;
    while (!waiting_.empty() && waiting_.begin()->first == next_) {
      const std::shared_ptr<const Recorder> finished = std::move(waiting_.extract(waiting_.begin()).mapped());
      lock.unlock();
      fit_.add(*finished, next_);
      added_();
      lock.lock();
      ++next_;
      changed_.notify_all();
    }
    adding_ = false;
  }
  void fail() {
    const std::lock_guard lock(mutex_);
    failed_ = true;
    changed_.notify_all();
  }

 private:
  ProbeFit& fit_;  // touched by who adds alone
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::size_t, std::shared_ptr<const Recorder>> waiting_;
  std::size_t next_, ahead_;
  bool adding_ = false, failed_ = false;
  const std::function<void()>& added_;
};

/// Records all sources that are not in `fit` yet and adds them. False if it was stopped.
bool record_all(const Settings& settings, HostPool& pool, ProbeFit& fit, const std::function<void()>& added,
                const std::atomic<bool>* stop) {
  const std::size_t first = fit.recordings();
  InOrder sums(fit, static_cast<std::size_t>(pool.workers()), added);
  return pool.run(
      settings.sources.size() - first,
      [&](std::size_t unit, Host& host) {
        const std::size_t index = first + unit;
        if (!sums.wait_for_turn(index)) return;
        try {
          sums.add(index, record(host, settings, passage_of(host, settings, index)));
        } catch (...) {
          sums.fail();
          throw;
        }
      },
      stop);
}

}  // namespace

Outcome run(const Settings& settings, HostPool& pool, const Progress& progress, const std::atomic<bool>* stop) {
  ProbeFit fit(settings.probe, pool.host().description());
  Outcome out;
  if (settings.resume) load_state(settings.state, settings.identity, settings.sources.size(), fit);
  auto saved = std::chrono::steady_clock::now();
  std::size_t saved_recordings = fit.recordings();
  const auto save = [&] {
    if (fit.recordings() == saved_recordings) return;
    save_state(settings.state, settings.identity, fit);
    saved = std::chrono::steady_clock::now();
    saved_recordings = fit.recordings();
  };
  const auto added = [&] {
    if (std::chrono::steady_clock::now() - saved > settings.save_every) save();
    if (progress) progress(fit.recordings(), settings.sources.size());
  };
  if (progress) progress(fit.recordings(), settings.sources.size());  // what it goes on from
  try {
    out.stopped = !record_all(settings, pool, fit, added, stop);
  } catch (...) {
    if (fit.whole()) save();
    throw;
  }
  save();
  out.recordings = fit.recordings();
  if (out.recordings > 0) out.fit = fit.fit();
  return out;
}

}  // namespace namm::calibrate
