#pragma once
#include <list>
#include <memory>

#include "evolve/ranks/channel.hpp"

namespace namm::evolve {

/// A channel over MPI. One per process: it starts MPI, which can be started only once.
class MpiChannel final : public Channel {
 public:
  /// Starts MPI. Throws std::runtime_error if it cannot.
  MpiChannel();
  ~MpiChannel() override;
  int rank() const override { return rank_; }
  int ranks() const override { return ranks_; }
  /// Ranks on this machine, this one included.
  int ranks_here() const { return ranks_here_; }
  void send(int rank, std::vector<std::byte> bytes) override;
  std::optional<Message> receive() override;

  /// Ends MPI; every rank has to.
  void finish();
  /// Ends all ranks at once; for when one of them no longer answers.
  [[noreturn]] void abort(int exit_code);

 private:
  struct Parts;  // MPI's types
  void forget_sent();

  std::unique_ptr<Parts> parts_;
  int rank_ = 0, ranks_ = 1, ranks_here_ = 1;
};

}  // namespace namm::evolve
