#include <numeric>
#include <stdexcept>

#include "evolve/fitness/make.hpp"

namespace namm::evolve {
namespace {

/// Mean log-likelihood of the gold answer in nats per token: smoother than a score, so that small improvements show.
class AnswerLikelihood final : public Fitness {
 public:
  std::string_view name() const override { return "answer-likelihood"; }
  Relation relation() const override { return Relation::difference; }
  double measure(Host& host, const CachePolicy& memory, const Prompt& prompt, const ProtocolSettings& protocol) const override {
    if (prompt.answer.empty()) {
      throw std::invalid_argument("answer-likelihood: every prompt must have a gold answer, prompt '" + prompt.sample.id +
                                  "' has none; for plain texts give --fitness fidelity");
    }
    present(host, memory, prompt, protocol);
    const std::vector<double> nats = host.log_likelihood(prompt.answer);
    return std::accumulate(nats.begin(), nats.end(), 0.0) / static_cast<double>(prompt.answer.size());
  }
};

}  // namespace

std::unique_ptr<Fitness> make_answer_likelihood() {
  return std::make_unique<AnswerLikelihood>();
}

}  // namespace namm::evolve
