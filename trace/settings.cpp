#include "trace/settings.hpp"

#include <algorithm>
#include <stdexcept>

#include "base/json_fields.hpp"

namespace namm::trace {
namespace {

using detail::JsonFields;
using nlohmann::json;

constexpr int kVersion = 1;
constexpr std::int64_t kMostLayers = 4096, kMostHeads = 1024, kMostSize = 65536;
constexpr std::string_view kRowNames[] = {"none", "f16", "f32"};

LayerDescription layer_from_json(const json& object, int at_least) {
  const JsonFields fields(object, "trace.layers.");
  LayerDescription out;
  out.layer = static_cast<int>(fields.integer("layer", at_least, 1 << 20));
  out.kv_heads = static_cast<int>(fields.integer("kv_heads", 1, kMostHeads));
  out.key_size = static_cast<int>(fields.integer("key_size", 1, kMostSize));
  out.value_size = static_cast<int>(fields.integer("value_size", 1, kMostSize));
  out.window = static_cast<int>(fields.integer("window", 0, 1 << 30));
  return out;
}

}  // namespace

Rows parse_rows(std::string_view name) {
  for (std::size_t i = 0; i < std::size(kRowNames); ++i)
    if (kRowNames[i] == name) return static_cast<Rows>(i);
  throw std::invalid_argument("--keys: must be f16, f32 or none, is \"" + std::string(name.substr(0, 40)) + "\"; choose one");
}

std::string_view to_string(Rows rows) {
  return kRowNames[static_cast<std::size_t>(rows)];
}

StatisticSet Settings::statistics() const {
  StatisticSet out =
      Statistic::accumulated | Statistic::queries_seen | Statistic::last_row | Statistic::key_norm | Statistic::value_norm;
  if (all_statistics) out = out | (Statistic::spectrogram | Statistic::window_mean);
  if (rows != Rows::none) out = out | Statistic::content;
  return out;
}

std::size_t Settings::heads() const {
  std::size_t sum = 0;
  for (const RecordedLayer& layer : layers) sum += layer.heads.size();
  return sum;
}

json to_json(const Settings& s) {
  json layers = json::array();
  for (const LayerDescription& layer : s.host.cached) {
    const auto found =
        std::find_if(s.layers.begin(), s.layers.end(), [&](const RecordedLayer& r) { return r.shape.layer == layer.layer; });
    layers.push_back({{"layer", layer.layer},
                      {"kv_heads", layer.kv_heads},
                      {"key_size", layer.key_size},
                      {"value_size", layer.value_size},
                      {"window", layer.window},
                      {"recorded", found == s.layers.end() ? std::vector<int>() : found->heads}});
  }
  return {{"version", kVersion},
          {"model", s.host.model},
          {"architecture", s.host.architecture},
          {"model_layers", s.host.layers},
          {"query_heads", s.host.query_heads},
          {"train_context", s.host.train_context},
          {"layers", layers},
          {"interval_tokens", s.interval_tokens},
          {"spectrogram_decay", detail::number_of(s.spectrogram.decay)},
          {"statistics", s.all_statistics ? "all" : "sums"},
          {"keys", to_string(s.rows)},
          {"question_after", s.question_after},
          {"chat_template", s.chat_template},
          {"provenance", s.provenance}};
}

Settings settings_from_json(const json& object) {
  const JsonFields fields(object, "trace.");
  fields.allow_only({"version", "model", "architecture", "model_layers", "query_heads", "train_context", "layers",
                     "interval_tokens", "spectrogram_decay", "statistics", "keys", "question_after", "chat_template",
                     "provenance"});
  fields.integer("version", kVersion, kVersion);
  Settings out;
  out.host.model = fields.text("model");
  out.host.architecture = fields.text("architecture");
  out.host.layers = static_cast<int>(fields.integer("model_layers", 0, 1 << 20));
  out.host.query_heads = static_cast<int>(fields.integer("query_heads", 0, 1 << 20));
  out.host.train_context = static_cast<int>(fields.integer("train_context", 0, 1 << 30));
  const json& layers = fields.need("layers");
  if (!layers.is_array() || layers.empty() || layers.size() > kMostLayers) fields.refuse("layers", "a list of 1 to 4096 layers");
  int next = 0;
  for (const json& object_of_layer : layers) {
    const LayerDescription shape = layer_from_json(object_of_layer, next);
    next = shape.layer + 1;
    out.host.cached.push_back(shape);
    const json& recorded = JsonFields(object_of_layer, "trace.layers.").need("recorded");
    if (!recorded.is_array()) fields.refuse("layers", "layers with a list of recorded heads");
    RecordedLayer layer{shape, {}};
    int last = -1;
    for (const json& head : recorded) {
      if (!head.is_number_integer() || head.get<std::int64_t>() <= last || head.get<std::int64_t>() >= shape.kv_heads)
        fields.refuse("layers", "layers with ascending KV heads of their own");
      layer.heads.push_back(last = head.get<int>());
    }
    if (!layer.heads.empty()) out.layers.push_back(std::move(layer));
  }
  if (out.layers.empty()) fields.refuse("layers", "layers of which at least one has recorded heads");
  out.interval_tokens = static_cast<int>(fields.integer("interval_tokens", 1, 1 << 24));
  out.spectrogram.decay = fields.number("spectrogram_decay");
  if (!(out.spectrogram.decay > 0 && out.spectrogram.decay < 1)) fields.refuse("spectrogram_decay", "between 0 and 1");
  const std::string statistics = fields.text("statistics"), keys = fields.text("keys");
  if (statistics != "all" && statistics != "sums") fields.refuse("statistics", "all or sums");
  out.all_statistics = statistics == "all";
  if (keys != "none" && keys != "f16" && keys != "f32") fields.refuse("keys", "none, f16 or f32");
  out.rows = parse_rows(keys);
  out.question_after = fields.boolean("question_after");
  out.chat_template = fields.boolean("chat_template");
  out.provenance = fields.need("provenance");
  if (!out.provenance.is_object()) fields.refuse("provenance", "an object");
  return out;
}

std::vector<std::size_t> update_points(std::size_t tokens, int interval_tokens) {
  std::vector<std::size_t> out;
  const auto interval = static_cast<std::size_t>(interval_tokens);
  for (std::size_t at = interval; at < tokens; at += interval) out.push_back(at);
  if (tokens > 0) out.push_back(tokens);
  return out;
}

}  // namespace namm::trace
