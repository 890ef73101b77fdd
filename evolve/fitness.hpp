#pragma once
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "host/protocol.hpp"

namespace namm::evolve {

/// How much a fitness remembers of prompts by default, in bytes.
inline constexpr std::size_t kPromptMemory = std::size_t{2} << 30;

/// How good an answer is when the cache is pruned. measure() is called from several threads, each with its own host; what a
/// fitness remembers of prompts changes no value.
class Fitness {
 public:
  /// How a mean over prompts is compared with the full cache's mean on the same prompts.
  enum class Relation {
    ratio,      ///< pruned / full: 1 = no loss
    difference  ///< pruned - full: 0 = no loss
  };
  virtual ~Fitness() = default;
  virtual std::string_view name() const = 0;
  virtual Relation relation() const = 0;
  /// A fitness that remembers prompts forgets the oldest ones beyond this.
  virtual void remember_at_most(std::size_t /*bytes*/) {}
  /// One number, higher = better. Throws std::invalid_argument if the prompt lacks what is measured, std::runtime_error from the
  /// host.
  virtual double measure(Host& host, const CachePolicy& memory, const Prompt& prompt, const ProtocolSettings& protocol) const = 0;
  /// Memories that are worth measuring together on one prompt; 1: nothing is gained by it.
  virtual std::size_t together() const { return 1; }
  /// The values of measure() for several memories, but for the last digits.
  virtual std::vector<double> measure_together(Host& host, std::span<const CachePolicy> memories, const Prompt& prompt,
                                               const ProtocolSettings& protocol) const;
};

struct FitnessEntry {
  std::string_view name;
  std::string_view summary;
  std::unique_ptr<Fitness> (*make)();
};
std::span<const FitnessEntry> fitness_registry();
/// Throws std::invalid_argument naming the nearest names if unknown.
std::unique_ptr<Fitness> make_fitness(std::string_view name);

/// The prompts of one task: mean with the pruned cache, mean with the full cache.
struct TaskMeans {
  double pruned = 0, full = 0;
};

/// Mean over tasks of the comparison with the full cache (spec section 7): pruned / full or pruned - full. A task that the full
/// cache never solves (full = 0) has no ratio; it contributes 1 + pruned, so that solving it still counts. NaN if `tasks` is
/// empty.
double relative_fitness(Fitness::Relation relation, std::span<const TaskMeans> tasks);

}  // namespace namm::evolve
