#include "evolve/unit_pool.hpp"

#include <algorithm>
#include <chrono>
#include <mutex>

#include "evolve/group_queue.hpp"

namespace namm::evolve {

bool ThreadUnits::measure(const UnitBatch& batch, std::span<double> values, const std::atomic<bool>* stop,
                          const Progress& progress) {
  PromptHolders holders;  // one process: all are its own
  GroupQueue queue(batch, holders);
  std::mutex mutex;
  const auto take = [&] {
    const std::lock_guard lock(mutex);
    return *queue.take(0);  // as often as there are groups
  };
  const auto work = [&](std::size_t, Host& host) {
    const std::size_t group = take();
    const auto began = std::chrono::steady_clock::now();
    const std::vector<double> measured =
        batch.fitness.measure_together(host, batch.memories_of(group), batch.prompts[batch.prompt_of(group)], batch.protocol);
    std::copy(measured.begin(), measured.end(), values.begin() + static_cast<std::ptrdiff_t>(batch.groups[group].first));
    const std::chrono::duration<float> taken = std::chrono::steady_clock::now() - began;
    const std::lock_guard lock(mutex);
    queue.done(group);
    costs_.seconds.push_back(taken.count());
  };
  return pool_.run(batch.groups.size(), work, stop, progress);
}

}  // namespace namm::evolve
