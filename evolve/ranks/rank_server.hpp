#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "evolve/fitness.hpp"
#include "evolve/ranks/channel.hpp"
#include "host/host_pool.hpp"

namespace namm::evolve {

struct RankServerSettings {
  std::string identity;  ///< as RankSettings::identity
  std::string machine;   ///< for error messages
  double alive_every_seconds = 2;
};

/// The side of every rank but 0: measures what rank 0 sends until it says stop. An exception of the host or the fitness goes to
/// rank 0, which ends the run. When `stop` becomes true rank 0 is told, which ends the run as if it had been stopped itself.
/// True if it said stop for good, false if another run of the same process may follow.
bool serve_units(Channel& channel, HostPool& pool, const Fitness& fitness, const ProtocolSettings& protocol,
                 const std::vector<std::shared_ptr<const tasks::Task>>& tasks, const RankServerSettings& settings,
                 const std::atomic<bool>* stop = nullptr);

/// For a rank that could not get ready, or has nothing more to do: tells rank 0 why if it wants to begin, and waits until it says
/// stop for good.
void report_failure(Channel& channel, const std::string& what, bool wrong_usage);

}  // namespace namm::evolve
