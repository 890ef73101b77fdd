#include "tests/support/tiny_model.hpp"

#include <cmath>
#include <initializer_list>
#include <random>
#include <string_view>

#include "tests/support/tiny_writer.hpp"

namespace namm::test {
namespace {

constexpr int kExperts = 4, kConvolution = 4, kState = 16, kGroups = 2, kRank = 32;

/// One model file, block by block.
class Model {
 public:
  Model(const TinyShape& shape, TinyWeights* weights) : shape_(shape), file_(shape.architecture, shape.seed, weights) {}

  void write(const std::filesystem::path& path) {
    header();
    for (int i = 0; i < shape_.layers; ++i) layer(i);
    file_.write(path);
  }

 private:
  bool is(std::initializer_list<std::string_view> names) const {
    for (const std::string_view name : names)
      if (shape_.architecture == name) return true;
    return false;
  }
  bool recurrent() const { return is({"mamba", "mamba2"}); }
  bool hybrid() const { return is({"jamba", "granitehybrid", "lfm2"}); }
  bool windows() const { return is({"gemma2", "gemma3", "gpt-oss"}); }
  bool has_attention(int i) const { return hybrid() ? i == shape_.attention_layer : !recurrent(); }

  void header() {
    const int width = shape_.width();
    file_.set("vocab_size", shape_.vocabulary);
    file_.set("context_length", is({"bert"}) ? 64 : 1 << 20);
    file_.set("embedding_length", width);
    file_.set("block_count", shape_.layers);
    file_.set("feed_forward_length", shape_.feed_forward);
    file_.set("attention.head_count", shape_.query_heads);
    file_.set_real("attention.layer_norm_rms_epsilon", 1e-5f);
    file_.set_real("attention.layer_norm_epsilon", 1e-5f);
    if (hybrid()) {
      std::vector<std::int32_t> heads;
      for (int i = 0; i < shape_.layers; ++i) heads.push_back(has_attention(i) ? shape_.kv_heads : 0);
      file_.set_array("attention.head_count_kv", heads);
    } else if (!recurrent()) {
      file_.set("attention.head_count_kv", is({"deepseek2"}) ? 1 : shape_.kv_heads);
    }
    if (recurrent() || is({"jamba", "granitehybrid"})) {
      const bool second = is({"mamba2", "granitehybrid"});
      file_.set("ssm.conv_kernel", kConvolution);
      file_.set("ssm.inner_size", 2 * width);
      file_.set("ssm.state_size", second ? kState : 8);
      file_.set("ssm.time_step_rank", second ? heads_of_state() : 8);
      if (second) file_.set("ssm.group_count", kGroups);
    }
    if (is({"lfm2"})) file_.set("shortconv.l_cache", 3);
    if (windows()) {
      file_.set("attention.sliding_window", shape_.window);
      if (is({"gemma3"})) file_.set("attention.sliding_window_pattern", 3);
    }
    if (is({"gemma2"})) file_.set_real("attn_logit_softcapping", 5);
    if (is({"minimax-m3"})) {
      file_.set("expert_shared_count", 1);
      file_.set("expert_gating_func", 2);
      file_.set("attention.indexer.head_count", shape_.kv_heads);
      file_.set("attention.indexer.key_length", kRank);
      file_.set("attention.indexer.top_k", 2);
      file_.set("attention.indexer.block_size", 64);
      file_.set("attention.indexer.local_blocks", 1);
    }
    if (shape_.experts || is({"gpt-oss", "minimax-m3"})) {
      file_.set("expert_count", kExperts);
      file_.set("expert_used_count", 2);
      file_.set("expert_feed_forward_length", shape_.feed_forward);
    }
    if (is({"mpt"})) file_.set_real("attention.max_alibi_bias", 8);
    if (is({"qwen2vl"})) file_.set_array("rope.dimension_sections", {4, 6, 6, 0});
    if (is({"deepseek2"})) {
      file_.set("attention.q_lora_rank", kRank);
      file_.set("attention.kv_lora_rank", kRank);
      file_.set("attention.key_length", kRank + 16);
      file_.set("attention.value_length", kRank);
      file_.set("attention.key_length_mla", shape_.head_size);
      file_.set("attention.value_length_mla", shape_.head_size);
      file_.set("rope.dimension_count", 16);
      file_.set("leading_dense_block_count", shape_.layers);
      file_.set("expert_feed_forward_length", shape_.feed_forward);
      file_.set("expert_shared_count", 0);
    }
    file_.matrix("token_embd.weight", width, shape_.vocabulary, std::sqrt(static_cast<float>(width)));
    if (is({"bert"})) {
      file_.matrix("position_embd.weight", width, 64);
      file_.norm("token_embd_norm.weight", width);
      file_.bias("token_embd_norm.bias", width);
      return;
    }
    file_.norm(is({"lfm2"}) ? "token_embd_norm.weight" : "output_norm.weight", width);
    if (!is({"gemma2", "gemma3"})) file_.matrix("output.weight", width, shape_.vocabulary);
  }

  int heads_of_state() const { return 2 * shape_.width() / 32; }

  void layer(int i) {
    const std::string block = "blk." + std::to_string(i) + ".";
    if (!is({"bert"})) file_.norm(block + "attn_norm.weight", shape_.width());
    if (is({"deepseek2"}))
      latent_attention(block);
    else if (has_attention(i))
      attention(block);
    else if (is({"lfm2"}))
      short_convolution(block);
    else if (is({"mamba2", "granitehybrid"}))
      mamba2(block);
    else
      mamba(block);
    if (!recurrent()) feed_forward(block);
  }

  void attention(const std::string& block) {
    const int width = shape_.width(), kv = shape_.kv_heads * shape_.head_size;
    if (is({"mpt"})) {
      file_.matrix(block + "attn_qkv.weight", width, width + 2 * kv);
    } else {
      file_.matrix(block + "attn_q.weight", width, width, 2);  // gains that make attention peaked, as in trained models
      file_.matrix(block + "attn_k.weight", width, kv, 2);
      file_.matrix(block + "attn_v.weight", width, kv);
    }
    file_.matrix(block + "attn_output.weight", width, width);
    if (is({"qwen3", "gemma3", "lfm2", "minimax-m3"})) {
      file_.norm(block + "attn_q_norm.weight", shape_.head_size);
      file_.norm(block + "attn_k_norm.weight", shape_.head_size);
    }
    if (is({"gpt-oss"})) {
      file_.tensor(block + "attn_sinks.weight", shape_.query_heads, 0, 1, 1);
      file_.bias(block + "attn_output.bias", width);
    }
  }

  void latent_attention(const std::string& block) {
    const int width = shape_.width(), heads = shape_.query_heads, size = shape_.head_size, nope = size - 16;
    file_.norm(block + "attn_q_a_norm.weight", kRank);
    file_.norm(block + "attn_kv_a_norm.weight", kRank);
    file_.matrix(block + "attn_q_a.weight", width, kRank);
    file_.matrix(block + "attn_q_b.weight", kRank, heads * size);
    file_.matrix(block + "attn_kv_a_mqa.weight", width, kRank + 16);
    file_.matrix(block + "attn_k_b.weight", nope, kRank, 1, heads);
    file_.matrix(block + "attn_v_b.weight", kRank, size, 1, heads);
    file_.matrix(block + "attn_output.weight", heads * size, width);
  }

  void mamba(const std::string& block) {
    const int width = shape_.width(), inner = 2 * width, state = 8, rank = 8;
    file_.matrix(block + "ssm_in.weight", width, 2 * inner);
    file_.tensor(block + "ssm_conv1d.weight", kConvolution, inner, 0, 0.5f);
    file_.bias(block + "ssm_conv1d.bias", inner);
    file_.matrix(block + "ssm_x.weight", inner, rank + 2 * state);
    file_.matrix(block + "ssm_dt.weight", rank, inner);
    file_.tensor(block + "ssm_dt.bias", inner, 0, -2, 0.1f);
    file_.tensor(block + "ssm_a", state, inner, -2, 0.2f);
    file_.tensor(block + "ssm_d", inner, 0, 1, 0.1f);
    file_.matrix(block + "ssm_out.weight", inner, width);
    if (!is({"jamba"})) return;
    file_.norm(block + "ssm_dt_norm.weight", rank);
    file_.norm(block + "ssm_b_norm.weight", state);
    file_.norm(block + "ssm_c_norm.weight", state);
  }

  void mamba2(const std::string& block) {
    const int width = shape_.width(), inner = 2 * width, mixed = inner + 2 * kGroups * kState, heads = heads_of_state();
    file_.matrix(block + "ssm_in.weight", width, inner + mixed + heads);
    file_.tensor(block + "ssm_conv1d.weight", kConvolution, mixed, 0, 0.5f);
    file_.bias(block + "ssm_conv1d.bias", mixed);
    file_.tensor(block + "ssm_dt.bias", heads, 0, -2, 0.1f);
    file_.tensor(block + "ssm_a", 1, heads, -2, 0.2f);
    file_.tensor(block + "ssm_d", 1, heads, 1, 0.1f);
    file_.norm(block + "ssm_norm.weight", inner / kGroups, kGroups);
    file_.matrix(block + "ssm_out.weight", inner, width);
  }

  void short_convolution(const std::string& block) {
    const int width = shape_.width();
    file_.tensor(block + "shortconv.conv.weight", 3, width, 0, 0.5f);
    file_.matrix(block + "shortconv.in_proj.weight", width, 3 * width);
    file_.matrix(block + "shortconv.out_proj.weight", width, width);
  }

  void feed_forward(const std::string& block) {
    const int width = shape_.width(), inner = shape_.feed_forward;
    if (is({"bert"})) {
      for (const char* const name : {"attn_output_norm", "layer_output_norm"}) {
        file_.norm(block + name + ".weight", width);
        file_.bias(block + name + ".bias", width);
      }
      file_.matrix(block + "ffn_up.weight", width, inner);
      file_.matrix(block + "ffn_down.weight", inner, width);
      return;
    }
    if (is({"gemma2", "gemma3", "gpt-oss"})) file_.norm(block + "post_attention_norm.weight", width);
    if (is({"gemma2", "gemma3"})) file_.norm(block + "post_ffw_norm.weight", width);
    if (!is({"gpt-oss"})) file_.norm(block + "ffn_norm.weight", width);
    if (is({"minimax-m3"})) {
      file_.bias(block + "exp_probs_b.bias", kExperts);
      file_.matrix(block + "ffn_gate_shexp.weight", width, inner);
      file_.matrix(block + "ffn_up_shexp.weight", width, inner);
      file_.matrix(block + "ffn_down_shexp.weight", inner, width);
      file_.matrix(block + "indexer.q_proj.weight", width, shape_.kv_heads * kRank);
      file_.matrix(block + "indexer.k_proj.weight", width, kRank);
      file_.norm(block + "indexer.q_norm.weight", kRank);
      file_.norm(block + "indexer.k_norm.weight", kRank);
    }
    if (shape_.experts || is({"gpt-oss", "minimax-m3"})) {
      file_.matrix(block + "ffn_gate_inp.weight", width, kExperts);
      file_.matrix(block + "ffn_gate_exps.weight", width, inner, 1, kExperts);
      file_.matrix(block + "ffn_up_exps.weight", width, inner, 1, kExperts);
      file_.matrix(block + "ffn_down_exps.weight", inner, width, 1, kExperts);
      if (!is({"gpt-oss"})) return;
      file_.bias(block + "ffn_gate_inp.bias", kExperts);
      file_.bias(block + "ffn_gate_exps.bias", inner, kExperts);
      file_.bias(block + "ffn_up_exps.bias", inner, kExperts);
      file_.bias(block + "ffn_down_exps.bias", width, kExperts);
      return;
    }
    if (!is({"mpt"})) file_.matrix(block + "ffn_gate.weight", width, inner);
    file_.matrix(block + "ffn_up.weight", width, inner);
    file_.matrix(block + "ffn_down.weight", inner, width);
  }

  const TinyShape& shape_;
  TinyWriter file_;
};

}  // namespace

std::filesystem::path write_tiny_model(const TinyShape& shape, TinyWeights* weights) {
  static int count = 0;
  const std::filesystem::path path = tiny_folder() / (shape.architecture + "-" + std::to_string(count++) + ".gguf");
  Model(shape, weights).write(path);
  return path;
}

std::vector<Backbone> backbones() {
  const auto make = [](std::string name, std::string architecture, int kv_heads = 2, bool experts = false) {
    Backbone out;
    out.name = std::move(name);
    out.shape.architecture = std::move(architecture);
    out.shape.kv_heads = kv_heads;
    out.shape.experts = experts;
    return out;
  };
  return {make("llama, grouped queries", "llama"),
          make("llama, multi-head", "llama", 6),
          make("qwen3, query and key norms", "qwen3"),
          make("llama with experts (mixtral)", "llama", 2, true),
          make("gemma2, windows and soft cap", "gemma2"),
          make("gemma3, windows", "gemma3"),
          make("gpt-oss, windows, sinks, experts", "gpt-oss"),
          make("jamba, hybrid with Mamba", "jamba"),
          make("granite-hybrid, with Mamba-2", "granitehybrid"),
          make("lfm2, with short convolutions", "lfm2")};
}

std::vector<std::int32_t> random_tokens(std::size_t count, int vocabulary, unsigned seed) {
  std::mt19937 draw(seed);
  std::vector<std::int32_t> tokens(count);
  for (std::int32_t& token : tokens) token = static_cast<std::int32_t>(draw() % static_cast<unsigned>(vocabulary));
  return tokens;
}

}  // namespace namm::test
