#include "tests/llama/tiny_model.hpp"

#include <ggml.h>
#include <gguf.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <random>
#include <stdexcept>

namespace namm::test {
namespace {

const std::filesystem::path& folder() {
  struct Folder {
    std::filesystem::path path = std::filesystem::temp_directory_path() / ("namm-test-llama-" + std::to_string(getpid()));
    Folder() { std::filesystem::create_directories(path); }
    ~Folder() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
  };
  static const Folder one;
  return one.path;
}

class Writer {
 public:
  Writer(const TinyShape& shape, TinyWeights* weights) : shape_(shape), weights_(weights), draw_(shape.seed) {}
  ~Writer() {
    gguf_free(file_);
    ggml_free(memory_);
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void set(const std::string& key, int value) {
    gguf_set_val_u32(file_, (shape_.architecture + "." + key).c_str(), static_cast<unsigned>(value));
  }

  /// Normal numbers around `mean`; `out` = 0 makes a vector of `in` numbers.
  void tensor(const std::string& name, int in, int out, float mean, float deviation) {
    ggml_tensor* const made =
        out > 0 ? ggml_new_tensor_2d(memory_, GGML_TYPE_F32, in, out) : ggml_new_tensor_1d(memory_, GGML_TYPE_F32, in);
    std::normal_distribution<float> normal(mean, deviation);
    std::vector<float> numbers(static_cast<std::size_t>(ggml_nelements(made)));
    for (float& x : numbers) x = normal(draw_);
    std::memcpy(made->data, numbers.data(), numbers.size() * sizeof(float));
    ggml_set_name(made, name.c_str());
    gguf_add_tensor(file_, made);
    if (weights_) (*weights_)[name] = std::move(numbers);
  }
  /// A matrix that keeps the size of its input, times `gain`.
  void matrix(const std::string& name, int in, int out, float gain = 1) {
    tensor(name, in, out, 0, gain / std::sqrt(static_cast<float>(in)));
  }
  void norm(const std::string& name, int size) { tensor(name, size, 0, 1, 0.1f); }

  void attention(const std::string& block) {
    const int width = shape_.width(), kv = shape_.kv_heads * shape_.head_size;
    matrix(block + "attn_q.weight", width, width, 2);  // gains that make attention peaked, as in trained models
    matrix(block + "attn_k.weight", width, kv, 2);
    matrix(block + "attn_v.weight", width, kv);
    matrix(block + "attn_output.weight", width, width);
  }

  void mamba(const std::string& block) {
    const int width = shape_.width(), inner = 2 * width, state = 8, rank = 8, convolution = 4;
    matrix(block + "ssm_in.weight", width, 2 * inner);
    tensor(block + "ssm_conv1d.weight", convolution, inner, 0, 0.5f);
    tensor(block + "ssm_conv1d.bias", inner, 0, 0, 0.1f);
    matrix(block + "ssm_x.weight", inner, rank + 2 * state);
    matrix(block + "ssm_dt.weight", rank, inner);
    tensor(block + "ssm_dt.bias", inner, 0, -2, 0.1f);
    tensor(block + "ssm_a", state, inner, -2, 0.2f);
    tensor(block + "ssm_d", inner, 0, 1, 0.1f);
    matrix(block + "ssm_out.weight", inner, width);
    if (shape_.architecture != "jamba") return;
    norm(block + "ssm_dt_norm.weight", rank);
    norm(block + "ssm_b_norm.weight", state);
    norm(block + "ssm_c_norm.weight", state);
  }

  void feed_forward(const std::string& block) {
    if (shape_.architecture == "gemma2") {
      norm(block + "post_attention_norm.weight", shape_.width());
      norm(block + "post_ffw_norm.weight", shape_.width());
    }
    norm(block + "ffn_norm.weight", shape_.width());
    matrix(block + "ffn_gate.weight", shape_.width(), shape_.feed_forward);
    matrix(block + "ffn_up.weight", shape_.width(), shape_.feed_forward);
    matrix(block + "ffn_down.weight", shape_.feed_forward, shape_.width());
  }

  void write(const std::filesystem::path& path) {
    header();
    for (int i = 0; i < shape_.layers; ++i) {
      const std::string block = "blk." + std::to_string(i) + ".";
      norm(block + "attn_norm.weight", shape_.width());
      if (has_attention(i))
        attention(block);
      else
        mamba(block);
      if (shape_.architecture != "mamba") feed_forward(block);
    }
    if (!gguf_write_to_file(file_, path.c_str(), false)) throw std::runtime_error(path.string() + ": cannot be written");
  }

 private:
  bool has_attention(int layer) const {
    return shape_.architecture == "llama" || shape_.architecture == "gemma2" ||
           (shape_.architecture == "jamba" && layer == shape_.attention_layer);
  }

  void header() {
    gguf_set_val_str(file_, "general.architecture", shape_.architecture.c_str());
    gguf_set_val_str(file_, "tokenizer.ggml.model", "none");
    set("vocab_size", shape_.vocabulary);
    set("context_length", 1 << 20);
    set("embedding_length", shape_.width());
    set("block_count", shape_.layers);
    set("feed_forward_length", shape_.feed_forward);
    set("attention.head_count", shape_.query_heads);
    gguf_set_val_f32(file_, (shape_.architecture + ".attention.layer_norm_rms_epsilon").c_str(), 1e-5f);
    if (shape_.architecture == "llama" || shape_.architecture == "gemma2") {
      set("attention.head_count_kv", shape_.kv_heads);
    } else {
      set("ssm.conv_kernel", 4);
      set("ssm.inner_size", 2 * shape_.width());
      set("ssm.state_size", 8);
      set("ssm.time_step_rank", 8);
    }
    if (shape_.architecture == "jamba") {
      std::vector<std::int32_t> heads;
      for (int i = 0; i < shape_.layers; ++i) heads.push_back(has_attention(i) ? shape_.kv_heads : 0);
      gguf_set_arr_data(file_, "jamba.attention.head_count_kv", GGUF_TYPE_INT32, heads.data(), heads.size());
    }
    if (shape_.architecture == "gemma2") {
      set("attention.sliding_window", shape_.window);
      gguf_set_val_f32(file_, "gemma2.attn_logit_softcapping", 5);
    }
    matrix("token_embd.weight", shape_.width(), shape_.vocabulary, std::sqrt(static_cast<float>(shape_.width())));
    norm("output_norm.weight", shape_.width());
    if (shape_.architecture != "gemma2") matrix("output.weight", shape_.width(), shape_.vocabulary);
  }

  const TinyShape& shape_;
  TinyWeights* weights_;
  std::mt19937 draw_;
  gguf_context* file_ = gguf_init_empty();
  ggml_context* memory_ = ggml_init({std::size_t{64} << 20, nullptr, false});
};

}  // namespace

std::filesystem::path write_tiny_model(const TinyShape& shape, TinyWeights* weights) {
  static int count = 0;
  const std::filesystem::path path = folder() / (shape.architecture + "-" + std::to_string(count++) + ".gguf");
  Writer(shape, weights).write(path);
  return path;
}

std::vector<std::int32_t> random_tokens(std::size_t count, int vocabulary, unsigned seed) {
  std::mt19937 draw(seed);
  std::vector<std::int32_t> tokens(count);
  for (std::int32_t& token : tokens) token = static_cast<std::int32_t>(draw() % static_cast<unsigned>(vocabulary));
  return tokens;
}

}  // namespace namm::test
