#pragma once
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace namm::test {

/// A model with random weights, F32, vocabulary without texts: token ids are fed directly.
struct TinyShape {
  /// As llama.cpp spells it: llama, qwen3, gemma2, gemma3, gpt-oss, jamba, granitehybrid, lfm2; refused: mamba, mamba2,
  /// deepseek2, minimax-m3, mpt, qwen2vl, bert.
  std::string architecture = "llama";
  int layers = 3;
  int query_heads = 6;
  int kv_heads = 2;
  /// 128 on GPUs: the smallest heads for which CUDA has flash attention in all its forms.
  int head_size = std::getenv("NAMM_TEST_GPU") ? 128 : 32;
  int feed_forward = 64;
  int vocabulary = 64;
  int attention_layer = 1;  ///< hybrids: the only layer with attention
  int window = 24;          ///< gemma2, gpt-oss: tokens that every other layer sees; gemma3: two of three
  bool experts = false;     ///< four experts instead of one feed-forward block
  unsigned seed = 1;
  int width() const { return query_heads * head_size; }
};

/// Weights by name, as in the file: [out][in], row-major.
using TinyWeights = std::map<std::string, std::vector<float>>;

/// Writes the model to a folder of this process that is removed at exit. `weights`, if given, receives what was written.
std::filesystem::path write_tiny_model(const TinyShape& shape, TinyWeights* weights = nullptr);

/// A model that a policy attaches to.
struct Backbone {
  std::string name;
  TinyShape shape;
};
std::vector<Backbone> backbones();

/// `count` token ids below `vocabulary`, from a seed.
std::vector<std::int32_t> random_tokens(std::size_t count, int vocabulary, unsigned seed);

}  // namespace namm::test
