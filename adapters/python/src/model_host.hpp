#pragma once
#include <span>
#include <vector>

#include "adapters/python/src/bind.hpp"
#include "adapters/python/src/interruption.hpp"
#include "adapters/python/src/tokeniser.hpp"

namespace namm::python {

/// A model that Python evaluates, on whatever device: the object behind it is a `Host` of _core.pyi. Every call is made in the
/// thread that holds Python's lock.
class ModelHost final : public Tokeniser {
 public:
  /// `interruption` hears of Ctrl-C in Python's code, and lives longer.
  ModelHost(nanobind::object model, Interruption& interruption);

  std::vector<Token> tokenize(std::string_view text, bool add_special) const override;
  std::vector<Token> tokenize_template(std::string_view text) const override;
  void reset(const CachePolicy& memory) override;
  void evaluate(std::span<const Token> tokens) override;
  void update() override;
  std::vector<double> log_likelihood(std::span<const Token> tokens) override;
  Generation generate(int max_tokens, bool stop_at_newline) override;
  std::span<const float> logits() const override { return logits_; }

 private:
  /// Logits behind the last token or, with `every`, behind each: [1 or tokens][vocabulary].
  Floats2 read(std::span<const Token> tokens, bool every);
  void keep(const Floats2& rows, std::size_t row);

  nanobind::object model_;
  Interruption& interruption_;
  std::vector<Token> ends_;    // of a generation
  std::vector<float> logits_;  // behind what was evaluated last
};

}  // namespace namm::python
