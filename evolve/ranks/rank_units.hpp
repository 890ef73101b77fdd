#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "evolve/group_queue.hpp"
#include "evolve/ranks/channel.hpp"
#include "evolve/ranks/messages.hpp"
#include "evolve/unit_pool.hpp"

namespace namm::evolve {

/// The field of an identity that has its own sentence where ranks differ in it: the instruction set of the kernels.
inline constexpr const char* kIsaIdentity = "isa";

struct RankSettings {
  std::string identity;                             ///< model and settings as JSON; a rank with others is refused
  std::chrono::duration<double> start_limit{600};   ///< until every rank has loaded its model
  std::chrono::duration<double> silence_limit{60};  ///< a rank that has work is heard from at least this often
};

/// Rank 0's side: hands out units to the other ranks and to its own threads, to each the next one as soon as it is free.
/// Values are placed by index: the same bytes for any number of ranks.
class RankUnits final : public UnitPool {
 public:
  /// Waits for every rank to say that it is ready. `pool` and `tasks` live longer. Throws std::runtime_error naming the rank if
  /// one failed, is silent or runs something else, or was not ready when `stop` became true; std::invalid_argument if a rank
  /// refused its settings.
  RankUnits(HostPool& pool, Channel& channel, std::vector<std::shared_ptr<const tasks::Task>> tasks, RankSettings settings,
            const std::atomic<bool>* stop = nullptr);
  int workers() const override;
  int ranks() const override { return channel_.ranks(); }
  /// A rank that fails, or is silent for too long, ends it with an exception that names it. False also if a rank was told to end.
  bool measure(const UnitBatch& batch, std::span<double> values, const std::atomic<bool>* stop,
               const Progress& progress) override;

  /// Tells all ranks to end, this run or for good, and waits for their answers. False if one did not answer in time. Throws
  /// nothing.
  static bool dismiss(Channel& channel, std::chrono::duration<double> limit, bool for_good = true) noexcept;

 private:
  using Clock = std::chrono::steady_clock;
  struct Rank {
    std::string machine;
    std::uint32_t workers = 1;
    std::uint32_t busy = 0;  ///< jobs without an answer, including those of an abandoned batch
    Clock::time_point heard;
    std::set<std::uint64_t> shapes, policies, prompts;  ///< what it has been sent
  };
  struct SentPolicy {
    std::uint64_t id = 0, shape = 0;
    std::vector<float> values;
  };
  class Batch;

  std::string name(int rank) const;
  void send(int rank, const messages::Any& message);
  /// The id of a policy's shape, a new one if it has not been met before.
  std::uint64_t shape_of(const Policy& policy);
  void hand_out(int rank, const UnitBatch& batch, std::size_t index);
  void end_batch();

  HostPool& pool_;
  Channel& channel_;
  std::vector<std::shared_ptr<const tasks::Task>> tasks_;
  RankSettings settings_;
  std::vector<Rank> ranks_;  // [0] is not used
  std::map<std::string, std::uint64_t> shape_ids_;
  std::vector<messages::Shape> shapes_;
  PromptHolders holders_;
  std::map<const Policy*, SentPolicy> policies_;  // of this batch
  std::uint64_t first_job_ = 0;                   // number of this batch's first job
  std::uint64_t next_id_ = 0;                     // of a policy
  std::uint64_t bytes_sent_ = 0, bytes_received_ = 0;
};

}  // namespace namm::evolve
