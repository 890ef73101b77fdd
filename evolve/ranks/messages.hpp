#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "host/protocol.hpp"
#include "tasks/task.hpp"

/// What ranks send each other. Rank 0 hands out work; the others measure. Numbers are sent as they lie in memory, so all ranks
/// must run on machines of the same kind.
///
///     rank 0                                       rank r
///     Begin                            ->
///                                   Hello  <-      "same model and settings, 2 workers", or Failed
///     Shape, Parameters, PromptMessage, Job ->
///                 Measured or Failed, Alive <-     Alive while it works, every two seconds
///     Forget (end of a batch), Stop        ->      Bye
namespace namm::evolve::messages {

struct Begin {};
struct Hello {
  std::string identity;  ///< must be the same on all ranks
  std::string machine;
  std::uint32_t workers = 1;
};
/// A policy without its numbers: sent once to every rank that needs it.
struct Shape {
  std::uint64_t id = 0;
  std::string kind, settings;  ///< settings: Policy::to_json() with all parameters 0
};
/// A policy: 4 bytes per parameter.
struct Parameters {
  std::uint64_t id = 0, shape = 0;
  std::vector<float> values;
};
struct PromptMessage {
  std::uint64_t id = 0;
  Prompt prompt;           ///< without its task
  std::uint32_t task = 0;  ///< index into the run's tasks
};
/// Memories that are measured together on one prompt.
struct Job {
  struct Part {
    CachePolicy memory;               ///< without its policy
    std::uint64_t policy = kNothing;  ///< a Parameters message's id
  };
  std::uint64_t number = 0, prompt = 0;
  std::vector<Part> parts;
  static constexpr std::uint64_t kNothing = ~std::uint64_t{0};
};
struct Measured {
  std::uint64_t number = 0;
  std::vector<double> values;  ///< of the parts
  float seconds = 0;
};
struct Failed {
  bool wrong_usage = false;  ///< std::invalid_argument there
  bool interrupted = false;  ///< that rank was told to end
  std::string what;
};
struct Forget {};  ///< policies and prompts, not shapes; a job already handed out keeps what it needs
struct Stop {
  bool for_good = true;  ///< false: another run of the same process follows
};
struct Alive {};
struct Bye {};

using Any = std::variant<Begin, Hello, Shape, Parameters, PromptMessage, Job, Measured, Failed, Forget, Stop, Alive, Bye>;

std::vector<std::byte> write(const Any& message);
/// Throws std::runtime_error if the bytes are no message of this version.
Any read(std::span<const std::byte> bytes);

}  // namespace namm::evolve::messages
