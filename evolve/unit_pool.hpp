#pragma once
#include <atomic>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "evolve/unit_batch.hpp"
#include "host/host_pool.hpp"

namespace namm::evolve {

/// What measuring took; nothing of it has an influence on a result.
struct UnitCosts {
  std::vector<float> seconds;                        ///< per group, wall clock of its worker, in no order that means anything
  std::uint64_t bytes_sent = 0, bytes_received = 0;  ///< between ranks, as rank 0 sees it
};

/// Measures groups of units, on threads of this process or on ranks of many machines.
class UnitPool {
 public:
  virtual ~UnitPool() = default;
  /// Groups that can be under way at the same time.
  virtual int workers() const = 0;
  virtual int ranks() const { return 1; }
  /// values[i] becomes that of batch.units[i], whoever measures it. False if `stop` became true before all were
  /// measured. Exceptions of hosts and of the fitness reach the caller.
  virtual bool measure(const UnitBatch& batch, std::span<double> values, const std::atomic<bool>* stop = nullptr,
                       const Progress& progress = {}) = 0;
  /// What was spent since this was asked last.
  UnitCosts take_costs() { return std::exchange(costs_, {}); }

 protected:
  UnitCosts costs_;
};

/// On the threads of a host pool.
class ThreadUnits final : public UnitPool {
 public:
  explicit ThreadUnits(HostPool& pool) : pool_(pool) {}
  int workers() const override { return pool_.workers(); }
  bool measure(const UnitBatch& batch, std::span<double> values, const std::atomic<bool>* stop = nullptr,
               const Progress& progress = {}) override;

 private:
  HostPool& pool_;
};

}  // namespace namm::evolve
