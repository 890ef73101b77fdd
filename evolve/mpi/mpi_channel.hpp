#pragma once
#include <list>
#include <memory>

#include "evolve/ranks/channel.hpp"

namespace namm::evolve {

/// Letters over MPI. One per process: MPI begins with it and can begin only once.
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
  std::optional<Letter> receive() override;

  /// Ends MPI when every rank does so, too.
  void finish();
  /// Ends all ranks at once; for when one of them does not answer any more.
  [[noreturn]] void abort(int exit_code);

 private:
  struct Parts;  // MPI's types
  void forget_sent();

  std::unique_ptr<Parts> parts_;
  int rank_ = 0, ranks_ = 1, ranks_here_ = 1;
};

}  // namespace namm::evolve
