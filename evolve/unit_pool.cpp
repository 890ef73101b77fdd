#include "evolve/unit_pool.hpp"

#include <algorithm>
#include <chrono>
#include <mutex>

#include "evolve/group_queue.hpp"

namespace namm::evolve {

std::vector<double> UnitBatch::measure(std::size_t number, Host& host) const {
  std::vector<CachePolicy> together;
  for (const Unit& unit : group(number)) together.push_back(memories[unit.memory]);
  return fitness.measure_together(host, together, prompts[group(number).front().prompt], protocol);
}

bool ThreadUnits::measure(const UnitBatch& batch, std::span<double> values, UnitCosts& costs, const std::atomic<bool>* stop,
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
    const std::vector<double> measured = batch.measure(group, host);
    std::copy(measured.begin(), measured.end(), values.begin() + static_cast<std::ptrdiff_t>(batch.groups[group]));
    const std::chrono::duration<float> taken = std::chrono::steady_clock::now() - began;
    const std::lock_guard lock(mutex);
    queue.done(group);
    costs.seconds.push_back(taken.count());
  };
  return pool_.run(batch.groups.size(), work, stop, progress);
}

}  // namespace namm::evolve
