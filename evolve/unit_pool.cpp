#include "evolve/unit_pool.hpp"

#include <algorithm>
#include <chrono>
#include <mutex>

namespace namm::evolve {

std::vector<double> UnitBatch::measure(std::size_t number, Host& host) const {
  std::vector<Memory> together;
  for (const Unit& unit : group(number)) together.push_back(memories[unit.memory]);
  return fitness.measure_together(host, together, prompts[group(number).front().prompt], protocol);
}

bool ThreadUnits::measure(const UnitBatch& batch, std::span<double> values, UnitCosts& costs, const std::atomic<bool>* stop,
                          const Progress& progress) {
  std::mutex mutex;
  const auto work = [&](std::size_t i, Host& host) {
    const auto began = std::chrono::steady_clock::now();
    const std::vector<double> measured = batch.measure(i, host);
    std::copy(measured.begin(), measured.end(), values.begin() + static_cast<std::ptrdiff_t>(batch.groups[i]));
    const std::chrono::duration<float> taken = std::chrono::steady_clock::now() - began;
    const std::lock_guard lock(mutex);
    costs.seconds.push_back(taken.count());
  };
  return pool_.run(batch.groups.size(), work, stop, progress);
}

}  // namespace namm::evolve
