#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "host/host.hpp"

namespace namm {

/// Makes a host; called once per worker, from one thread at a time. All hosts must be the same model.
using HostFactory = std::function<std::unique_ptr<Host>()>;

/// Called with (units done, units in all), from one thread at a time.
using Progress = std::function<void(std::size_t, std::size_t)>;

/// Hosts and the threads that drive them. Not thread-safe itself: one call at a time.
class HostPool {
 public:
  /// Makes the first host at once, the others when they are needed. Throws std::invalid_argument if workers < 1 or the factory is
  /// empty, and whatever the factory throws.
  HostPool(HostFactory factory, int workers);

  /// The first host, for tokenising and descriptions, while no call of run() is under way.
  Host& host() { return *hosts_.front(); }
  const Host& host() const { return *hosts_.front(); }
  int workers() const { return static_cast<int>(hosts_.size()); }

  /// Calls work(unit, host) for every unit in [0, count), in any order, on min(workers, count) threads. If `stop` becomes true no
  /// further unit is begun and false is returned. If a unit throws, no further unit is begun and the exception (of the lowest
  /// such unit) is thrown here, unless `stop` is true: then it counts as stopped. With one worker everything runs in the calling
  /// thread. OpenMP's threads are shared out among the workers.
  bool run(std::size_t count, const std::function<void(std::size_t, Host&)>& work, const std::atomic<bool>* stop = nullptr,
           const Progress& progress = {});

 private:
  HostFactory factory_;
  std::vector<std::unique_ptr<Host>> hosts_;
};

}  // namespace namm
