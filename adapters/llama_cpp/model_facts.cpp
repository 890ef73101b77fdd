#include "adapters/llama_cpp/model_facts.hpp"

#include "adapters/llama_cpp/host/llama_model.hpp"

#include <llama.h>

#include <algorithm>
#include <array>
#include <cstdio>
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

/// All files of a model that was split: "name-00001-of-00003.gguf" has what is said of the model, all have tensors.
struct Shards {
  std::int64_t count = 1;
  double parameters = 0;
  std::uintmax_t bytes = 0;
};

Shards shards_of(const std::filesystem::path& path, const GgufHeader& header) {
  Shards out{1, header.parameters(), std::filesystem::file_size(path)};
  const std::int64_t count = header.integer("split.count").value_or(1), number = header.integer("split.no").value_or(0);
  constexpr std::int64_t kMostShards = 99999;
  if (count < 2 || count > kMostShards) return out;
  out.count = count;
  const auto name_of = [&](std::int64_t shard) {
    char text[40];
    std::snprintf(text, sizeof text, "-%05d-of-%05d.gguf", static_cast<int>(shard + 1), static_cast<int>(count));
    return std::string(text);
  };
  const std::string here = path.filename().string(), ending = name_of(number);
  if (!here.ends_with(ending))
    throw std::runtime_error(path.string() + ": must be called NAME" + ending +
                             ", as llama.cpp wants the parts of a split model; rename it");
  if (number != 0)
    throw std::runtime_error(path.string() + ": must be the first part of a split model, is part " + std::to_string(number + 1) +
                             " of " + std::to_string(count) + "; give NAME" + name_of(0));
  for (std::int64_t shard = 1; shard < count; ++shard) {
    const auto other = path.parent_path() / (here.substr(0, here.size() - ending.size()) + name_of(shard));
    std::error_code missing;
    if (!std::filesystem::is_regular_file(other, missing))
      throw std::runtime_error(path.string() + ": must have its " + std::to_string(count) + " parts beside each other, lacks " +
                               other.filename().string() + "; get it as well");
    out.parameters += GgufHeader(other).parameters();
    out.bytes += std::filesystem::file_size(other);
  }
  return out;
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
  const Shards shards = shards_of(path, header);
  out["parameters"] = static_cast<std::int64_t>(std::min(shards.parameters, 9e15));
  if (shards.count > 1) out["files"] = shards.count;
  if (const auto type = header.integer("general.file_type"))
    out["quantisation"] = llama_ftype_name(static_cast<llama_ftype>(*type));
  out["file_bytes"] = shards.bytes;
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
  const std::string chat = header.text("tokenizer.chat_template");
  out["chat_template"] = !chat.empty();
  if (!chat.empty() && !is_known_chat_template(chat)) out["chat_template_known"] = false;  // prompts are put without it
  const std::string why_not = why_not_attachable(traits_of(header, architecture, shape));
  out["policy_attaches"] = why_not.empty();
  if (!why_not.empty()) out["why_not"] = why_not;
  return out;
}

}  // namespace namm::llama
