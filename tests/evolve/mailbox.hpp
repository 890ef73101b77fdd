#pragma once
// Ranks of one process: messages lie in boxes instead of travelling.
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "evolve/ranks/rank_server.hpp"
#include "evolve/ranks/rank_units.hpp"

namespace fixture {

struct Post {
  explicit Post(int ranks) : boxes(static_cast<std::size_t>(ranks)) {}
  std::mutex mutex;
  std::vector<std::deque<namm::evolve::Message>> boxes;
};

class Mailbox final : public namm::evolve::Channel {
 public:
  Mailbox(Post& post, int rank) : post_(post), rank_(rank) {}
  int rank() const override { return rank_; }
  int ranks() const override { return static_cast<int>(post_.boxes.size()); }
  void send(int to, std::vector<std::byte> bytes) override {
    const std::lock_guard lock(post_.mutex);
    post_.boxes[static_cast<std::size_t>(to)].push_back({rank_, std::move(bytes)});
  }
  std::optional<namm::evolve::Message> receive() override {
    const std::lock_guard lock(post_.mutex);
    auto& box = post_.boxes[static_cast<std::size_t>(rank_)];
    if (box.empty()) return std::nullopt;
    namm::evolve::Message message = std::move(box.front());
    box.pop_front();
    return message;
  }

 private:
  Post& post_;
  int rank_;
};

/// Ranks 1, 2 ... on threads, each doing `serve` with its mailbox; told to stop at the end. The test's thread is rank 0.
class Ranks {
 public:
  Ranks(int ranks, const std::function<void(Mailbox&)>& serve) : post_(ranks), lead(post_, 0) {
    for (int rank = 1; rank < ranks; ++rank) {
      threads_.emplace_back([this, rank, serve] {
        Mailbox mine(post_, rank);
        serve(mine);
      });
    }
  }
  ~Ranks() { namm::evolve::RankUnits::dismiss(lead, std::chrono::seconds(20)); }

 private:
  Post post_;
  std::vector<std::jthread> threads_;

 public:
  Mailbox lead;
};

}  // namespace fixture
