#pragma once
#include <map>
#include <vector>

#include <Eigen/Core>

#include "calibrate/prompt_scores.hpp"
#include "namm/observer.hpp"

namespace namm::calibrate {

/// Expected attention (arXiv 2510.00636, section 3): the attention that a cached key can expect from queries to come, if these
/// are normally distributed like those of the context. Watches while one context of `context_tokens` tokens is read; scores()
/// then gives, per (layer, KV head, token),
///
///     ln( mean over the group's query heads of softmax_i( s μ'k_i + s²/2 k_i'Σ k_i ) · |v_i| ),
///
/// k_i the rotated key, μ and Σ the moments of the un-rotated queries behind the first 4, turned by the mean rotation of the 512
/// positions behind the context, s the model's scale. As in the authors' code the norm of the value stands for that of its
/// projection, and the first 4 tokens are outside of the softmax. For one sequence.
class ExpectedAttention final : public Observer {
 public:
  static constexpr std::int32_t kFuturePositions = 512;
  static constexpr std::int32_t kSinks = 4;

  explicit ExpectedAttention(std::int32_t context_tokens) : context_tokens_(context_tokens) {}
  std::map<int, PromptScores::ByHead> scores() const;

  std::string_view name() const override { return "expected-attention"; }
  bool wants_tokens() const override { return true; }
  bool wants_queries() const override { return true; }
  void on_tokens(const LayerTokens& tokens) override;
  void on_queries(const LayerQueries& queries) override;

 private:
  struct Layer {
    std::size_t kv_heads = 0, key_size = 0;
    Eigen::MatrixXf mean_rotation;         // [key_size][key_size]; empty if the model has none
    std::vector<float> keys, value_norms;  // [token][kv_heads * key_size], rotated; [token][kv_heads]
    std::vector<Eigen::VectorXd> sums;     // per query head
    std::vector<Eigen::MatrixXd> squares;
    double queries = 0, scale = 1;
  };
  PromptScores::ByHead scores_of(const Layer& layer) const;

  std::int32_t context_tokens_;
  std::map<int, Layer> layers_;  // a layer is read by one thread at a time
};

}  // namespace namm::calibrate
