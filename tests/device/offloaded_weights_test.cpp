// Weights on another device, the cache in host memory (-ngl N -nkvo): what policies read must be what they read without it.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>

#include "adapters/llama_cpp/backend/attach_scope.hpp"
#include "adapters/llama_cpp/backend/plain_keys.hpp"
#include "adapters/llama_cpp/version/cache_tensor.hpp"
#include "namm/llama.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/support/fake_device.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

namespace {

/// Keeps the keys, values and queries that it is shown.
class Reader final : public Observer {
 public:
  std::string_view name() const override { return "test-reader"; }
  bool wants_tokens() const override { return true; }
  bool wants_queries() const override { return true; }
  void on_tokens(const LayerTokens& tokens) override {
    keep(keys[tokens.layer], tokens.keys, tokens.count() * static_cast<std::size_t>(tokens.kv_heads) * tokens.key_size);
    keep(values[tokens.layer], tokens.values, tokens.count() * static_cast<std::size_t>(tokens.kv_heads) * tokens.value_size);
    rotates = rotates || tokens.rotation;
  }
  void on_queries(const LayerQueries& read) override {
    keep(queries[read.layer], read.queries, read.count() * read.heads * read.key_size);
  }
  std::map<int, std::vector<float>> keys, values, queries;  // by layer
  bool rotates = false;

 private:
  static void keep(std::vector<float>& to, const float* from, std::size_t count) { to.insert(to.end(), from, from + count); }
};

using ModelPointer = std::unique_ptr<llama_model, void (*)(llama_model*)>;

ModelPointer load(const TinyShape& shape, int layers_on_device) {
  ggml_backend_dev_t devices[] = {fake_device(), nullptr};
  llama_model_params params = llama_model_default_params();
  params.devices = devices;
  params.n_gpu_layers = layers_on_device;
  params.use_extra_bufts = false;  // weights in the order of the file everywhere: the same products to the last bit
  return {llama_model_load_from_file(write_tiny_model(shape).c_str(), params), llama_model_free};
}

llama_context_params small_context() {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = params.n_batch = 512;
  params.n_ubatch = 64;
  params.n_threads = params.n_threads_batch = 1;
  params.offload_kqv = false;  // the weights are on the device, the cache is not
  return params;
}

struct Seen {
  std::shared_ptr<Reader> reader = std::make_shared<Reader>();
  std::vector<float> logits;
  std::vector<HeadContent> kept;
  int rotated_there = 0;  ///< ROPE nodes that the device computed
};

Seen read_with(const TinyShape& shape, int layers_on_device) {
  const ModelPointer model = load(shape, layers_on_device);
  REQUIRE(model);
  Seen out;
  CachePolicy policy = load_policy("h2o-mean").with_budget("40").with_interval(32).with_protection(2, 6);
  policy.observer = out.reader;
  const auto count = [] {
    const auto found = computed_on_fake_device().find(GGML_OP_ROPE);
    return found == computed_on_fake_device().end() ? 0 : found->second;
  };
  const int before = count();
  llama::Attached attached = llama::attach(model.get(), small_context(), policy);
  auto tokens = random_tokens(230, shape.vocabulary, 5);
  const int vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model.get()));
  for (std::size_t at = 0; at < tokens.size();) {  // a prompt of several parts, then tokens one by one
    const std::size_t size = at < 200 ? 100 : 1;
    attached.decode(llama_batch_get_one(tokens.data() + at, static_cast<std::int32_t>(size)));
    const float* const row = llama_get_logits_ith(attached.context(), -1);
    out.logits.insert(out.logits.end(), row, row + vocabulary);
    at += size;
  }
  out.kept = attached.content();
  out.rotated_there = count() - before;
  return out;
}

double apart(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  REQUIRE_FALSE(a.empty());
  double most = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    most = std::max(most, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    size = std::max(size, std::abs(static_cast<double>(b[i])));
  }
  return most / size;
}

}  // namespace

TEST_CASE("keys and queries are read before rotation, wherever the weights are", "[device]") {
  TinyShape shape;
  shape.architecture = GENERATE("llama", "gemma2", "gemma3", "qwen3");
  const int on_device = GENERATE(2, 3, 99);  // the output layer, and of the three layers the last, the last two, all
  CAPTURE(shape.architecture, on_device);
  const Seen host = read_with(shape, 0), offloaded = read_with(shape, on_device);
  CHECK(host.rotated_there == 0);
  CHECK(offloaded.rotated_there > 0);
  CHECK(offloaded.reader->rotates);
  REQUIRE(offloaded.reader->keys.size() == 3);
  for (int layer = 0; layer < 3; ++layer) {
    CAPTURE(layer);
    CHECK(apart(offloaded.reader->keys.at(layer), host.reader->keys.at(layer)) < 1e-5);
    CHECK(apart(offloaded.reader->queries.at(layer), host.reader->queries.at(layer)) < 1e-5);
    CHECK(apart(offloaded.reader->values.at(layer), host.reader->values.at(layer)) < 1e-5);
  }
  CHECK(apart(offloaded.logits, host.logits) < 1e-4);
  REQUIRE(offloaded.kept.size() == host.kept.size());
  for (std::size_t h = 0; h < host.kept.size(); ++h) CHECK(offloaded.kept[h].positions == host.kept[h].positions);
}

TEST_CASE("what the store cannot reach is refused with the context", "[device]") {
  const ModelPointer model = load({}, 99);
  REQUIRE(model);
  llama_context_params params = small_context();
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
  params.offload_kqv = true;
  CachePolicy policy = load_policy("h2o-mean").with_budget("40");
  policy.observer = std::make_shared<Reader>();
  llama::AttachScope scope(policy);
  const std::unique_ptr<llama_context, void (*)(llama_context*)> context(llama_init_from_model(model.get(), params), llama_free);
  REQUIRE(context);
  CHECK_THROWS_WITH(scope.finish({}), Contains("must not have an observer") && Contains("--no-kv-offload"));
}
