#pragma once
#include <cstddef>

namespace namm::eval {

/// How much of an evaluation is done: prompts under a policy, which cost the more the longer they are. A header: it is a sum.
class EvalWork {
 public:
  /// Before the work: so many prompts at this length are to be measured.
  void plan(std::size_t length_tokens, std::size_t prompts) {
    all_ += prompts;
    all_cost_ += cost(length_tokens) * static_cast<double>(prompts);
  }
  /// So many are done.
  void add(std::size_t length_tokens, std::size_t prompts) {
    done_ += prompts;
    done_cost_ += cost(length_tokens) * static_cast<double>(prompts);
  }
  std::size_t done() const { return done_; }
  std::size_t all() const { return all_; }
  /// The share of the work, 0 to 1, with `more` prompts at this length that are done besides.
  double share(std::size_t length_tokens, std::size_t more) const {
    return all_cost_ > 0 ? (done_cost_ + cost(length_tokens) * static_cast<double>(more)) / all_cost_ : 1;
  }

 private:
  /// Whole contexts (0) are of unknown length; the answer costs about as much as some tokens of the prompt.
  static double cost(std::size_t length_tokens) {
    constexpr double kUnknownTokens = 1000, kAnswerTokens = 64;
    return (length_tokens == 0 ? kUnknownTokens : static_cast<double>(length_tokens)) + kAnswerTokens;
  }

  std::size_t done_ = 0, all_ = 0;
  double done_cost_ = 0, all_cost_ = 0;
};

}  // namespace namm::eval
