#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <utility>
#include <vector>

#include "evolve/fitness/make.hpp"
#include "evolve/fitness/prompt_memory.hpp"
#include "host/log_softmax.hpp"

namespace namm::evolve {
namespace {

constexpr std::size_t kLikeliest = 256;  // tokens told apart per position; the rest of the vocabulary counts as one
constexpr double kWorst = 3;             // nat: beyond it a position is lost, and by how much does not matter

/// The full cache's distribution at one position: its likeliest tokens and their log-probabilities.
struct Distribution {
  std::vector<Token> tokens;
  std::vector<float> log_probabilities;
  std::size_t bytes() const {
    return sizeof *this + tokens.capacity() * sizeof(Token) + log_probabilities.capacity() * sizeof(float);
  }
};

Distribution likeliest(std::span<const float> logits) {
  Distribution out;
  out.tokens.resize(logits.size());
  std::iota(out.tokens.begin(), out.tokens.end(), 0);
  const std::size_t count = std::min(kLikeliest, logits.size());
  std::partial_sort(out.tokens.begin(), out.tokens.begin() + static_cast<std::ptrdiff_t>(count), out.tokens.end(),
                    [&](Token a, Token b) {
                      const float x = logits[static_cast<std::size_t>(a)], y = logits[static_cast<std::size_t>(b)];
                      return x != y ? x > y : a < b;
                    });
  out.tokens.resize(count);
  out.tokens.shrink_to_fit();
  const double total = log_sum_exp(logits).total();
  out.log_probabilities.reserve(count);
  for (const Token token : out.tokens)
    out.log_probabilities.push_back(static_cast<float>(logits[static_cast<std::size_t>(token)] - total));
  return out;
}

/// KL(full || pruned) over the likeliest tokens and the rest as one: at most the divergence over the whole vocabulary.
double divergence(const Distribution& full, std::span<const float> logits) {
  const double total = log_sum_exp(logits).total();
  double sum = 0, rest_full = 1, rest_pruned = 1;
  for (std::size_t i = 0; i < full.tokens.size(); ++i) {
    const double p = std::exp(static_cast<double>(full.log_probabilities[i]));
    const double log_q = logits[static_cast<std::size_t>(full.tokens[i])] - total;
    sum += p * (full.log_probabilities[i] - log_q);
    rest_full -= p;
    rest_pruned -= std::exp(log_q);
  }
  if (rest_full > 1e-9) sum += rest_full * std::log(rest_full / std::max(rest_pruned, 1e-9));
  return std::clamp(sum, 0.0, kWorst);
}

/// Minus the mean divergence from the full cache's predictions, in nat, at the positions that write the answer, or, in a text
/// without one, its last 32 tokens: 0 = the same model. Needs no labels. The full cache's predictions are remembered.
class Fidelity final : public Fitness {
 public:
  std::string_view name() const override { return "fidelity"; }
  Relation relation() const override { return Relation::difference; }
  void remember_at_most(std::size_t bytes) override { remembered_.limit(bytes); }

  double measure(Host& host, const CachePolicy& memory, const Prompt& prompt, const ProtocolSettings& protocol) const override {
    const auto reference = full_predictions(host, memory, prompt, protocol);
    if (!memory.drops()) return 0;
    double sum = 0;
    std::size_t position = 0;
    walk(host, memory, prompt, protocol,
         [&](std::span<const float> logits) { sum += divergence(reference->positions[position++], logits); });
    return -sum / static_cast<double>(reference->positions.size());
  }

 private:
  struct Predictions {
    std::vector<Distribution> positions;
    std::size_t bytes = 0;
  };
  using Key = std::pair<std::uint64_t, bool>;  // the prompt's tokens, question_after

  /// Evaluates the prompt and calls `at` with the logits before every token that is to be predicted.
  template <typename At>
  static void walk(Host& host, const CachePolicy& memory, const Prompt& prompt, const ProtocolSettings& protocol, At at) {
    const Prompt shown = with_end_as_answer(prompt);
    present(host, memory, shown, protocol);
    for (std::size_t i = 0; i < shown.answer.size(); ++i) {
      if (host.logits().empty()) throw std::runtime_error("fidelity: the host gives no logits; use answer-likelihood");
      at(host.logits());
      if (i + 1 < shown.answer.size()) host.evaluate({&shown.answer[i], 1});
    }
  }

  std::shared_ptr<const Predictions> full_predictions(Host& host, const CachePolicy& memory, const Prompt& prompt,
                                                      const ProtocolSettings& protocol) const {
    return remembered_.get({token_hash(prompt), protocol.question_after}, [&] {
      CachePolicy full = memory;
      full.policy = nullptr;
      full.selection.budget = {};
      const auto made = std::make_shared<Predictions>();
      walk(host, full, prompt, protocol, [&](std::span<const float> logits) {
        made->positions.push_back(likeliest(logits));
        made->bytes += made->positions.back().bytes();
      });
      return made;
    });
  }

  mutable PromptMemory<Key, Predictions> remembered_;
};

}  // namespace

std::unique_ptr<Fitness> make_fidelity() {
  return std::make_unique<Fidelity>();
}

}  // namespace namm::evolve
