#include "adapters/python/src/model_host.hpp"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "host/log_softmax.hpp"

namespace nb = nanobind;

namespace namm::python {
namespace {

HostDescription description_of(const nb::object& model) {
  HostDescription out;
  out.model = nb::cast<std::string>(model.attr("name"));
  out.architecture = nb::cast<std::string>(model.attr("architecture"));
  out.layers = nb::cast<int>(model.attr("all_layers"));
  out.query_heads = nb::cast<int>(model.attr("query_heads"));
  out.train_context = nb::cast<int>(model.attr("train_context"));
  out.cached = descriptions(nb::cast<std::vector<LayerTuple>>(model.attr("layers")));
  out.cache_bytes_per_number = nb::cast<double>(model.attr("bytes_per_number"));
  return out;
}

Host::ChatTemplate turn_of(const nb::object& model) {
  auto [before, after] = nb::cast<std::pair<std::string, std::string>>(model.attr("turn"));
  return {std::move(before), std::move(after)};
}

double checked_log_probability(std::span<const float> logits, Token token) {
  if (token < 0 || static_cast<std::size_t>(token) >= logits.size())
    throw std::runtime_error("model: must have logits for every token of its tokeniser, has " + std::to_string(logits.size()) +
                             " and none for token " + std::to_string(token) + "; give the model's own tokeniser");
  return log_probability(logits, token);
}

/// -inf is a token that cannot come; anything else that is not finite is no answer.
void require_numbers(std::span<const float> logits) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  const bool wrong = std::any_of(logits.begin(), logits.end(), [](float x) { return std::isnan(x) || x > kLargest; });
  if (wrong || *std::max_element(logits.begin(), logits.end()) < -kLargest)
    throw std::runtime_error("model: must give finite logits, gives NaN or infinity; load it in another dtype");
}

}  // namespace

ModelHost::ModelHost(nb::object model, Interruption& interruption)
    : Tokeniser(description_of(model), turn_of(model), model.attr("tokenize"), model.attr("detokenize")),
      model_(std::move(model)),
      interruption_(interruption),
      ends_(nb::cast<std::vector<Token>>(model_.attr("ends"))) {}

std::vector<Token> ModelHost::tokenize(std::string_view text, bool add_special) const {
  return interruption_.noticing([&] { return Tokeniser::tokenize(text, add_special); });
}

std::vector<Token> ModelHost::tokenize_template(std::string_view text) const {
  return interruption_.noticing([&] { return Tokeniser::tokenize_template(text); });
}

void ModelHost::reset(const CachePolicy& memory) {
  logits_.clear();
  interruption_.noticing([&] { model_.attr("reset")(PolicyObject{memory}); });
}

void ModelHost::evaluate(std::span<const Token> tokens) {
  if (!tokens.empty()) keep(read(tokens, false), 0);
}

void ModelHost::update() {
  interruption_.noticing([&] { model_.attr("update")(); });
}

std::vector<double> ModelHost::log_likelihood(std::span<const Token> tokens) {
  if (logits_.empty()) throw std::invalid_argument("log_likelihood: evaluate at least one token first");
  std::vector<double> out;
  if (tokens.empty()) return out;
  out.push_back(checked_log_probability(logits_, tokens[0]));
  const Floats2 rows = read(tokens, true);
  for (std::size_t i = 0; i + 1 < tokens.size(); ++i)
    out.push_back(checked_log_probability({rows.data() + i * rows.shape(1), rows.shape(1)}, tokens[i + 1]));
  keep(rows, tokens.size() - 1);
  return out;
}

Generation ModelHost::generate(int max_tokens, bool stop_at_newline) {
  if (logits_.empty()) throw std::invalid_argument("generate: evaluate at least one token first");
  Generation out;
  const auto start = std::chrono::steady_clock::now();
  while (static_cast<int>(out.tokens.size()) < max_tokens) {
    const auto token = static_cast<Token>(std::max_element(logits_.begin(), logits_.end()) - logits_.begin());
    if (std::find(ends_.begin(), ends_.end(), token) != ends_.end()) break;
    out.tokens.push_back(token);
    out.text = interruption_.noticing([&] { return detokenize(out.tokens); });  // as a whole: blanks between words depend on it
    if (stop_at_newline && out.text.find('\n') != std::string::npos) break;
    if (static_cast<int>(out.tokens.size()) < max_tokens) evaluate({&token, 1});
  }
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return out;
}

Floats2 ModelHost::read(std::span<const Token> tokens, bool every) {
  return interruption_.noticing([&] {
    const nb::object read = model_.attr("evaluate")(to_array(std::vector<Token>(tokens.begin(), tokens.end())), every);
    Floats2 rows = nb::cast<Floats2>(read);
    const std::size_t wanted = every ? tokens.size() : 1;
    if (rows.shape(0) != wanted || rows.shape(1) == 0)
      throw std::runtime_error("model: must give logits [" + std::to_string(wanted) + "][vocabulary], gives [" +
                               std::to_string(rows.shape(0)) + "][" + std::to_string(rows.shape(1)) + "]");
    for (std::size_t row = 0; row < wanted; ++row) require_numbers({rows.data() + row * rows.shape(1), rows.shape(1)});
    return rows;
  });
}

void ModelHost::keep(const Floats2& rows, std::size_t row) {
  const float* const first = rows.data() + row * rows.shape(1);
  logits_.assign(first, first + rows.shape(1));
}

}  // namespace namm::python
