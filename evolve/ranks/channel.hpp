#pragma once
#include <cstddef>
#include <optional>
#include <vector>

namespace namm::evolve {

struct Message {
  int rank = 0;  ///< who sent it
  std::vector<std::byte> bytes;
};

/// Messages between the ranks of a run, in the order in which each rank sent them. Used by one thread. Neither call blocks.
class Channel {
 public:
  virtual ~Channel() = default;
  virtual int rank() const = 0;
  virtual int ranks() const = 0;
  /// Throws std::runtime_error if the other rank cannot be reached.
  virtual void send(int rank, std::vector<std::byte> bytes) = 0;
  /// The next message that has arrived, nothing if there is none.
  virtual std::optional<Message> receive() = 0;
};

}  // namespace namm::evolve
