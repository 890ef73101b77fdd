#include "evolve/unit_pool.hpp"

#include <chrono>
#include <mutex>

namespace namm::evolve {

bool ThreadUnits::measure(const UnitBatch& batch, std::span<double> values, UnitCosts& costs, const std::atomic<bool>* stop,
                          const Progress& progress) {
  std::mutex mutex;
  const auto work = [&](std::size_t i, Host& host) {
    const auto began = std::chrono::steady_clock::now();
    const Unit& unit = batch.units[i];
    values[i] = batch.fitness.measure(host, batch.memories[unit.memory], batch.prompts[unit.prompt], batch.protocol);
    const std::chrono::duration<float> taken = std::chrono::steady_clock::now() - began;
    const std::lock_guard lock(mutex);
    costs.seconds.push_back(taken.count());
  };
  return pool_.run(batch.units.size(), work, stop, progress);
}

}  // namespace namm::evolve
