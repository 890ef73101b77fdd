#include "adapters/llama_cpp/model_facts.hpp"

#include <llama.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string_view>

namespace namm::llama {
namespace {

constexpr std::int64_t kMostLayers = 4096, kMostNumbers = 1 << 20;  // beyond what a header can mean

template <std::size_t kSize>
bool among(std::string_view name, const std::array<std::string_view, kSize>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

constexpr std::array<std::string_view, 6> kRecurrent = {"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"};
constexpr std::array<std::string_view, 15> kEncoders = {
    "bert",        "jina-bert-v2",    "jina-bert-v3", "nomic-bert",       "nomic-bert-moe", "neo-bert", "eurobert",
    "modern-bert", "gemma-embedding", "t5encoder",    "wavtokenizer-dec", "dream",          "llada",    "llada-moe",
    "rnd1"};
constexpr std::array<std::string_view, 2> kBiased = {"bloom", "refact"};
/// Hybrids that name no layers in their header: every n-th attends.
constexpr std::array<std::string_view, 5> kEveryNth = {"qwen3next", "qwen35", "qwen35moe", "qwen4exp", "minimax-01"};

/// Models with sliding windows in some of their layers: unless the header says otherwise, all layers but every n-th, the last of
/// n or the first.
struct WindowPattern {
  std::string_view architecture;
  std::int64_t every;
  bool first_is_global = false;
};
constexpr std::array<WindowPattern, 23> kWindows = {{{"afmoe", 4},
                                                     {"cohere2", 4},
                                                     {"cohere2moe", 4, true},
                                                     {"dots3note", 0},
                                                     {"exaone-moe", 4},
                                                     {"exaone4", 4},
                                                     {"gemma2", 2},
                                                     {"gemma3", 6},
                                                     {"gemma3n", 5},
                                                     {"gemma4", 0},
                                                     {"gpt-oss", 2},
                                                     {"granite-swa", 0},
                                                     {"laguna", 4, true},
                                                     {"lfm2", 1},
                                                     {"lfm2moe", 1},
                                                     {"llama4", 4},
                                                     {"maple", 0},
                                                     {"mellum", 4},
                                                     {"mimo2", 0},
                                                     {"olmo2", 4},
                                                     {"plamo3", 8},
                                                     {"smallthinker", 4, true},
                                                     {"step35", 0}}};

/// Value of layer `i` in an array with one entry per layer, or one for all.
std::int64_t at_layer(const std::vector<std::int64_t>& values, std::int64_t i, std::int64_t otherwise) {
  if (values.empty()) return otherwise;
  if (values.size() == 1) return values[0];
  return static_cast<std::size_t>(i) < values.size() ? values[static_cast<std::size_t>(i)] : 0;
}

std::int64_t checked(const char* what, std::int64_t value, std::int64_t most) {
  if (value < 0 || value > most)
    throw std::runtime_error(std::string("its header must have a sane ") + what + ", has " + std::to_string(value) +
                             "; the file is damaged");
  return value;
}

std::int64_t largest(const std::vector<std::int64_t>& values) {
  return values.empty() ? 0 : *std::max_element(values.begin(), values.end());
}

}  // namespace

double CacheShape::bytes_per_token() const {
  double out = 0;
  for (const std::int64_t heads : kv_heads) out += static_cast<double>(heads) * static_cast<double>(key_size + value_size) * 2;
  return out;
}

CacheShape cache_shape(const GgufHeader& header, const std::string& architecture) {
  const auto key = [&](const char* name) { return architecture + "." + name; };
  CacheShape out;
  out.layers = checked("number of layers", header.integer(key("block_count")).value_or(0), kMostLayers);
  const std::vector<std::int64_t> heads = header.integers(key("attention.head_count"));
  out.query_heads = checked("number of query heads", largest(heads), kMostNumbers);
  const std::int64_t width = header.integer(key("embedding_length")).value_or(0);
  const std::int64_t head_size = out.query_heads > 0 ? width / out.query_heads : 0;
  out.key_size = checked("key size", header.integer(key("attention.key_length")).value_or(head_size), kMostNumbers);
  out.value_size = checked("value size", header.integer(key("attention.value_length")).value_or(head_size), kMostNumbers);
  out.window = std::max<std::int64_t>(0, header.integer(key("attention.sliding_window")).value_or(0));
  if (among(architecture, kRecurrent) || among(architecture, kEncoders)) return out;

  const auto pattern =
      std::find_if(kWindows.begin(), kWindows.end(), [&](const WindowPattern& p) { return p.architecture == architecture; });
  const std::vector<std::int64_t> named = header.integers(key("attention.sliding_window_pattern"));
  const auto is_windowed = [&](std::int64_t i) {
    if (pattern == kWindows.end() || out.window == 0) return false;
    if (named.size() > 1) return at_layer(named, i, 0) != 0;
    const std::int64_t every = named.empty() ? pattern->every : named[0];
    if (every <= 0) return false;
    return every == 1 || (pattern->first_is_global ? i % every != 0 : i % every < every - 1);
  };

  const std::vector<std::int64_t> kv_heads = header.integers(key("attention.head_count_kv"));
  const std::vector<std::int64_t> recurrent = header.integers(key("attention.recurrent_layers"));
  std::int64_t every = 1;
  if (among(architecture, kEveryNth))
    every = header.integer(key("full_attention_interval")).value_or(architecture == "minimax-01" ? 8 : 4);
  const std::int64_t own =
      out.layers - std::clamp<std::int64_t>(header.integer(key("attention.shared_kv_layers")).value_or(0), 0, out.layers);
  for (std::int64_t i = 0; i < out.layers; ++i) {
    const std::int64_t count = checked("number of KV heads", at_layer(kv_heads, i, at_layer(heads, i, 0)), kMostNumbers);
    const bool attends = recurrent.empty() ? every < 2 || (i + 1) % every == 0 : at_layer(recurrent, i, 0) == 0;
    if (count == 0 || !attends || i >= own) continue;
    out.cached.push_back(i);
    out.kv_heads.push_back(count);
    out.windowed.push_back(is_windowed(i));
  }
  return out;
}

ModelTraits traits_of(const GgufHeader& header, const std::string& architecture, const CacheShape& shape) {
  const auto key = [&](const char* name) { return architecture + "." + name; };
  const std::string type = header.text("general.type");
  ModelTraits out;
  out.architecture = architecture;
  out.adapter = type == "adapter";
  out.projector = architecture == "clip" || type == "mmproj";
  out.recurrent = among(architecture, kRecurrent);
  out.encoder = among(architecture, kEncoders);
  out.encoder_decoder = architecture == "t5";
  out.index = header.integer(key("attention.indexer.head_count")).value_or(0) > 0;
  out.latent = header.integer(key("attention.kv_lora_rank")).value_or(0) > 0 ||
               header.integer(key("attention.key_length_mla")).value_or(0) > 0;
  out.position_bias = header.real(key("attention.max_alibi_bias")).value_or(0) > 0 || among(architecture, kBiased) ||
                      (architecture == "baichuan" && shape.layers == 40);
  out.several_positions = largest(header.integers(key("rope.dimension_sections"))) > 0;
  out.layers = shape.layers;
  out.cached = static_cast<std::int64_t>(shape.cached.size());
  out.windowed = std::count(shape.windowed.begin(), shape.windowed.end(), true);
  return out;
}

nlohmann::ordered_json model_facts(const std::filesystem::path& path) {
  const GgufHeader header(path);
  const std::string architecture = header.text("general.architecture");
  nlohmann::ordered_json out = {{"file", path.string()}, {"kind", "model"}};
  CacheShape shape;
  try {
    shape = cache_shape(header, architecture);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(path.string() + ": " + error.what());
  }
  const std::string name = header.text("general.name");
  out["name"] = name.empty() ? path.stem().string() : name;
  out["architecture"] = architecture.empty() ? "unknown" : architecture;
  out["parameters"] = static_cast<std::int64_t>(std::min(header.parameters(), 9e15));
  if (const auto type = header.integer("general.file_type"))
    out["quantisation"] = llama_ftype_name(static_cast<llama_ftype>(*type));
  out["file_bytes"] = std::filesystem::file_size(path);
  out["layers"] = shape.layers;
  out["layers_with_kv_cache"] = shape.cached.size();
  if (!shape.cached.empty() && static_cast<std::int64_t>(shape.cached.size()) < shape.layers)
    out["kv_cache_layers"] = shape.cached;
  out["query_heads"] = shape.query_heads;
  if (!shape.kv_heads.empty()) {
    const auto [low, high] = std::minmax_element(shape.kv_heads.begin(), shape.kv_heads.end());
    if (*low == *high)
      out["kv_heads"] = *low;
    else
      out["kv_heads"] = shape.kv_heads;
    out["key_size"] = shape.key_size;
    out["value_size"] = shape.value_size;
    const auto windows = std::count(shape.windowed.begin(), shape.windowed.end(), true);
    out["layers_with_window"] = windows;
    if (windows > 0) out["window"] = shape.window;
    out["kv_bytes_per_token_f16"] = static_cast<std::int64_t>(shape.bytes_per_token());
  }
  const std::int64_t context = header.integer(architecture + ".context_length").value_or(0);
  out["training_context"] = context;
  if (!shape.kv_heads.empty() && context > 0)
    out["kv_bytes_at_training_context"] =
        static_cast<std::int64_t>(std::min(shape.bytes_per_token() * static_cast<double>(context), 9e18));
  out["tokenizer"] = header.text("tokenizer.ggml.model");
  out["vocabulary"] = header.array_length("tokenizer.ggml.tokens");
  out["chat_template"] = !header.text("tokenizer.chat_template").empty();
  const std::string why_not = why_not_attachable(traits_of(header, architecture, shape));
  out["policy_attaches"] = why_not.empty();
  if (!why_not.empty()) out["why_not"] = why_not;
  return out;
}

}  // namespace namm::llama
