#pragma once
#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "evolve/fitness.hpp"
#include "host/host_pool.hpp"

namespace namm::evolve {

/// One measurement: which memory on which prompt.
struct Unit {
  std::size_t memory = 0;
  std::size_t prompt = 0;
};

/// What is to be measured. Groups are begun in this order, which has no influence on the values.
struct UnitBatch {
  const Fitness& fitness;
  const ProtocolSettings& protocol;
  std::span<const CachePolicy> memories;
  std::span<const Prompt> prompts;
  std::span<const Unit> units;
  std::span<const std::size_t> groups;  ///< where each group begins in `units`: of one prompt, measured together

  std::span<const Unit> group(std::size_t number) const {
    const std::size_t end = number + 1 < groups.size() ? groups[number + 1] : units.size();
    return units.subspan(groups[number], end - groups[number]);
  }
  /// The values of a group's units.
  std::vector<double> measure(std::size_t number, Host& host) const;
};

/// What measuring took; nothing of it has an influence on a result.
struct UnitCosts {
  std::vector<float> seconds;                        ///< per group, wall clock of its worker, in no order that means anything
  std::uint64_t bytes_sent = 0, bytes_received = 0;  ///< between ranks, as rank 0 sees it
};

/// Those who measure groups of units: threads of this process, or ranks on many machines.
class UnitPool {
 public:
  virtual ~UnitPool() = default;
  /// Groups that can be under way at the same time.
  virtual int workers() const = 0;
  virtual int ranks() const { return 1; }
  /// values[i] becomes that of batch.units[i]. False if `stop` became true before all were measured. Exceptions of hosts and of
  /// the fitness reach the caller. Adds to `costs`.
  virtual bool measure(const UnitBatch& batch, std::span<double> values, UnitCosts& costs, const std::atomic<bool>* stop,
                       const Progress& progress) = 0;
};

/// On the threads of a host pool.
class ThreadUnits final : public UnitPool {
 public:
  explicit ThreadUnits(HostPool& pool) : pool_(pool) {}
  int workers() const override { return pool_.workers(); }
  bool measure(const UnitBatch& batch, std::span<double> values, UnitCosts& costs, const std::atomic<bool>* stop,
               const Progress& progress) override;

 private:
  HostPool& pool_;
};

}  // namespace namm::evolve
