// With the policy `full` the adapter must compute what llama.cpp computes: attention against double precision node by node, and
// the logits of the whole model against a plain context.
#include <algorithm>
#include <sstream>

#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

namespace {

struct Comparison {
  AttentionReference ours, stock;
  double logits_apart = 0;        ///< attached and plain
  double logits_from_double = 0;  ///< attached, and plain with every attention node replaced by its double result
  double stock_from_double = 0;
  double nudged_from_double = 0;  ///< every number of the double attention changed by 1e-6 of itself
  double largest_logit = 0;
};

/// A prompt in chunks, then single tokens.
Comparison compare(const std::shared_ptr<const llama::LlamaModel>& model, const std::vector<std::int32_t>& tokens,
                   std::size_t prompt, std::size_t chunk) {
  Comparison out;
  const std::span all(tokens);
  const auto run = [&](bool attached, AttentionReference& reference) {
    ContextSettings settings;
    if (attached) settings.memory = full_memory();
    settings.reference = &reference;
    Context context(model, settings);
    auto logits = context.evaluate(all.first(prompt), chunk);
    for (auto& row : context.evaluate(all.subspan(prompt), 1)) logits.push_back(std::move(row));
    return logits;
  };
  AttentionReference replaced, nudged;
  replaced.replace = nudged.replace = true;
  nudged.nudge = 1e-6;
  const auto ours = run(true, out.ours), stock = run(false, out.stock), exact = run(false, replaced);
  out.nudged_from_double = largest_difference(run(false, nudged), exact);
  out.logits_apart = largest_difference(ours, stock);
  out.logits_from_double = largest_difference(ours, exact);
  out.stock_from_double = largest_difference(stock, exact);
  out.largest_logit = largest(stock);
  return out;
}

std::string figures(const Comparison& c) {
  std::ostringstream out;
  out << c.ours.nodes << " nodes; worst number of a node over the node's largest, and root mean square: ours "
      << c.ours.worst_relative << ", " << c.ours.relative_rms() << "; llama.cpp " << c.stock.worst_relative << ", "
      << c.stock.relative_rms() << "; logits, largest " << c.largest_logit << ": ours to llama.cpp " << c.logits_apart
      << ", ours to double " << c.logits_from_double << ", llama.cpp to double " << c.stock_from_double
      << ", double nudged by 1e-6 to double " << c.nudged_from_double;
  return out.str();
}

/// Prose for models with a tokenizer, random ids for those without.
std::vector<std::int32_t> prompt_for(const llama::LlamaModel& model, std::size_t count) {
  std::string text;
  for (int i = 1; text.size() < count * 8; ++i)
    text += "On day " + std::to_string(i * 37 % 91) + " the ferry left the harbour at " + std::to_string(i % 12 + 1) +
            " o'clock, and the keeper of light number " + std::to_string(i * 13 % 17) + " wrote the weather into his book. ";
  std::vector<std::int32_t> tokens(text.size() + 8);
  const int found = llama_tokenize(model.vocab(), text.data(), static_cast<int>(text.size()), tokens.data(),
                                   static_cast<int>(tokens.size()), true, false);
  if (found < static_cast<int>(count)) throw std::runtime_error("the text is too short");
  tokens.resize(count);
  return tokens;
}

}  // namespace

TEST_CASE("attention nodes equal a computation in double precision", "[llama][exact]") {
  TinyShape shape;
  SECTION("llama, three query heads per KV head") {}
  SECTION("llama, one query head per KV head, heads of 64") {
    shape.query_heads = 3;
    shape.kv_heads = 3;
    shape.head_size = 64;
  }
  SECTION("llama, multi-query") {
    shape.kv_heads = 1;
    shape.head_size = 48;
  }
  SECTION("llama, one layer") {
    shape.layers = 1;
  }
  SECTION("jamba, one attention layer between two recurrent ones") {
    shape.architecture = "jamba";
  }
  const int attention_layers = shape.architecture == "jamba" ? 1 : shape.layers;
  const Comparison c =
      compare(llama::LlamaModel::load(write_tiny_model(shape)), random_tokens(208, shape.vocabulary, 3), 200, 48);
  INFO(figures(c));
  CHECK(c.ours.nodes == attention_layers * 13);
  CHECK(c.ours.worst_relative < 1e-5);
  // With one attention layer its keys and values do not depend on attention, so both runs cache the same halves. Below further
  // layers a difference of 1e-7 makes a few keys and values round to the neighbouring half, 2^-11 away.
  CHECK(c.logits_from_double < (attention_layers == 1 ? 1e-5 : 5e-4) * c.largest_logit);
  CHECK(c.logits_apart < 5e-3 * c.largest_logit);  // llama.cpp's own attention works in halves
}

TEST_CASE("attention nodes of real models equal double precision", "[llama][exact][real]") {
  for (const auto& path : real_models()) {
    const auto model = llama::LlamaModel::load(path);
    const Comparison c = compare(model, prompt_for(*model, 154), 150, 64);
    INFO(path.filename().string() << ": " << figures(c));
    CHECK(c.ours.worst_relative < 1e-5);
    // Quantised weights round the activations they meet to 8 bits, which turns any difference into one of 1/127 within a few
    // layers. So the bound is what a change of 1e-6 in attention itself does.
    CHECK(c.logits_from_double < std::max(3 * c.nudged_from_double, 5e-4 * c.largest_logit));
  }
}

TEST_CASE("attention of a long prompt in large chunks, figures", "[.figures]") {
  for (const auto& path : real_models()) {
    const auto model = llama::LlamaModel::load(path);
    const Comparison c = compare(model, prompt_for(*model, 1000), 1000, 512);
    WARN(path.filename().string() << ": " << figures(c));
    CHECK(c.ours.worst_relative < 1e-5);
  }
}
