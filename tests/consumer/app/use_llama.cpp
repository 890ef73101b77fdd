// The C++ API of an installed package on a real model: what is freed, what is refused and when.
#include <namm/llama.hpp>

#include <cmath>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include "norms.hpp"

namespace {

int failures = 0;

void check(bool good, const char* what) {
  if (!good) std::printf("FAILED: %s\n", what), ++failures;
}

/// What `work` throws; "" if nothing.
template <class Error, class Work>
std::string thrown(Work work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

bool says(const std::string& text, const char* part) {
  const bool good = text.find(part) != std::string::npos;
  if (!good) std::printf("should say '%s': '%s'\n", part, text.c_str());
  return good;
}

llama_batch batch_of(std::vector<llama_token>& tokens) {
  return llama_batch_get_one(tokens.data(), static_cast<int>(tokens.size()));
}

std::vector<llama_token> text(std::size_t count, int seed) {
  std::vector<llama_token> out(count);
  for (std::size_t i = 0; i < count; ++i)
    out[i] = 3 + static_cast<llama_token>((i * 7 + i * i % 11 + static_cast<std::size_t>(seed)) % 60);
  return out;
}

std::vector<float> logits(const namm::llama::Attached& attached, int vocabulary) {
  const float* const from = llama_get_logits_ith(attached.context(), -1);
  return {from, from + vocabulary};
}

}  // namespace

int main(int, char** argv) {
  namm::register_policy({"norms", "small keys and large values are kept", Norms::make});
  check(says(thrown<std::invalid_argument>([] {
               namm::register_policy({"norms", "", Norms::make});
             }),
             "registered already"),
        "a name is taken once");
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  llama_model* const model = llama_model_load_from_file(argv[1], llama_model_default_params());
  if (!model) return 1;
  const int vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
  llama_context_params params = llama_context_default_params();  // flash attention: auto
  params.n_ctx = 1024;
  params.n_seq_max = 2;
  params.kv_unified = true;

  // full = stock, to what half precision allows
  std::vector<llama_token> tokens = text(500, 1);
  std::vector<float> stock, full;
  {
    llama_context* const plain = llama_init_from_model(model, params);
    llama_decode(plain, batch_of(tokens));
    const float* const from = llama_get_logits_ith(plain, -1);
    stock.assign(from, from + vocabulary);
    llama_free(plain);
    auto attached = namm::llama::attach(model, params, namm::load_policy("full"));
    attached.decode(batch_of(tokens));
    full = logits(attached, vocabulary);
  }
  float worst = 0, largest = 0;
  for (int i = 0; i < vocabulary; ++i) {
    worst = std::max(worst, std::abs(stock[static_cast<std::size_t>(i)] - full[static_cast<std::size_t>(i)]));
    largest = std::max(largest, std::abs(stock[static_cast<std::size_t>(i)]));
  }
  std::printf("full against stock: %g of %g\n", worst, largest);
  check(worst < 1e-2f * largest, "full is stock");

  for (const char* const name : {"norms", "default", "h2o-mean"}) {
    auto attached = namm::llama::attach(model, params, namm::load_policy(name).with_budget("25%").with_interval(100));
    attached.decode(batch_of(tokens));
    const namm::CacheUsage usage = attached.usage();
    std::printf("%s: %.3f of the entries, %.3f of the bytes freed\n", name, usage.logical_saving(), usage.physical_saving());
    check(usage.logical_saving() > 0.7 && usage.logical_saving() < 0.77, "a quarter is kept");
    check(usage.physical_saving() > 0.4, "memory is freed");
    check(attached.content().front().positions.size() == 125, "of the first head, too");

    // cuts: behind the last eviction yes, before it no, also for those who call llama.cpp themselves
    std::vector<llama_token> more = text(30, 2);
    attached.decode(batch_of(more));
    attached.clear();
    check(attached.usage().entries == 0, "cleared");
    // with llama.cpp's own functions: what was cleared away is not counted any more, and a sequence is removed as after decode()
    for (int i = 0; i < 3; ++i) {
      llama_memory_clear(llama_get_memory(attached.context()), false);
      check(llama_decode(attached.context(), batch_of(more)) == 0, "a plain decode");
      check(attached.usage().tokens_seen == 30, "one sequence after a clear");
    }
    attached.remove(0);
    check(attached.usage().entries == 0, "removed after a plain decode");
    attached.decode(batch_of(tokens));
    check(says(thrown<std::runtime_error>([&] { attached.remove(0, 450); }), "behind the last eviction"), "a cut is refused");
    const std::vector<std::byte> saved = attached.save(0);
    attached.remove(0);
    check(attached.usage().entries == 0, "removed");
    attached.load(saved, 0);
    check(attached.usage().entries == usage.entries, "restored");
    check(says(thrown<std::runtime_error>([&] { attached.load(std::span(saved).first(100), 0); }), ""),
          "damaged states are refused");
  }

  // what can be known is said before the first batch
  const auto policy = namm::load_policy("h2o");
  check(says(thrown<std::invalid_argument>([&] { namm::llama::attach(model, params, policy); }), "must have a budget"),
        "no budget");
  llama_context_params off = params;
  off.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  check(
      says(thrown<std::invalid_argument>([&] { namm::llama::attach(model, off, policy.with_budget("25%")); }), "flash_attn_type"),
      "flash attention off");
  llama_context_params q4 = params;
  q4.type_k = GGML_TYPE_Q4_0;
  check(says(thrown<std::invalid_argument>([&] { namm::llama::attach(model, q4, policy.with_budget("25%")); }),
             "type_k: must be f16"),
        "cache type");
  for (const int number : {static_cast<int>(GGML_TYPE_COUNT), 63}) {
    q4.type_k = static_cast<ggml_type>(number);
    check(says(thrown<std::invalid_argument>([&] { namm::llama::attach(model, q4, policy.with_budget("25%")); }),
               ("is the number " + std::to_string(number)).c_str()),
          "a number that is no type");
  }
  off.flash_attn_type = static_cast<llama_flash_attn_type>(-2);
  check(says(thrown<std::invalid_argument>([&] { namm::llama::attach(model, off, policy.with_budget("25%")); }), "is -2"),
        "a number that is no kind of attention");
  llama_context_params nothing = params;
  nothing.n_batch = 0;
  check(says(thrown<std::invalid_argument>([&] { namm::llama::attach(model, nothing, policy.with_budget("25%")); }), "n_batch"),
        "no batch");
  {
    auto attached = namm::llama::attach(model, params, namm::load_policy("full"));
    attached.decode(batch_of(tokens));
    const std::vector<std::byte> saved = attached.save(0);
    check(says(thrown<std::invalid_argument>([&] { attached.remove(0, -7); }), "at least 0, is -7"), "positions");
    check(says(thrown<std::runtime_error>([&] { attached.load({}, 0); }), "is empty"), "an empty state");
    llama_context_params small = params;
    small.n_ctx = 256;
    auto smaller = namm::llama::attach(model, small, namm::load_policy("full"));
    check(says(thrown<std::runtime_error>([&] { smaller.load(saved, 0); }), "n_ctx"), "a state that is too large");
    check(smaller.usage().entries == 0, "of which nothing is left");
  }
  namm::register_policy({"none", "a factory that makes nothing", [](const nlohmann::json&) { return nullptr; }});
  check(says(thrown<std::invalid_argument>([] { namm::load_policy("none"); }), "policy none: must be made"), "no policy made");
  check(says(thrown<std::runtime_error>([] { namm::llama::policy_for("missing.gguf"); }), "is not there"), "no model file");
  llama_model_params words = llama_model_default_params();
  words.vocab_only = true;
  llama_model* const vocabulary_alone = llama_model_load_from_file(argv[1], words);
  check(says(namm::llama::why_not_attachable(vocabulary_alone), "vocab_only"), "no weights");
  llama_model_free(vocabulary_alone);
  check(says(thrown<std::invalid_argument>([&] { namm::llama::attach(nullptr, params, policy); }), "must be loaded"), "no model");
  check(says(thrown<std::invalid_argument>([] { namm::load_policy("h20"); }), "nearest: h2o"), "names");
  check(says(thrown<std::invalid_argument>([] { namm::load_policy("defualt"); }), "nearest: default"),
        "the shipped policy's, too");
  check(says(thrown<std::invalid_argument>([&] { policy.with_budget("250%"); }), "budget"), "budgets");
  check(namm::llama::why_not_attachable(model).empty(), "this model can be attached to");
  llama_model_free(model);
  return failures == 0 ? 0 : 1;
}
