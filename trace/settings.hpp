#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "host/host.hpp"
#include "namm/statistics.hpp"

namespace namm::trace {

/// How keys (before rotary embedding) and values are stored.
enum class Rows { none, f16, f32 };
/// Throws std::invalid_argument.
Rows parse_rows(std::string_view name);
std::string_view to_string(Rows rows);

/// A layer of which something is recorded.
struct RecordedLayer {
  LayerDescription shape;  ///< all KV heads of the layer; keys and values are stored of all of them
  std::vector<int> heads;  ///< KV heads whose statistics are recorded, ascending
};

/// What a trace holds, the same for all of its prompts.
struct Settings {
  HostDescription host;
  std::vector<RecordedLayer> layers;  ///< ascending
  int interval_tokens = 128;          ///< between updates
  SpectrogramSettings spectrogram;
  bool all_statistics = true;  ///< false: without spectrogram and window_mean, which are nine tenths of the statistics' bytes
  Rows rows = Rows::f16;
  bool question_after = true;  ///< ProtocolSettings
  bool chat_template = true;
  nlohmann::json provenance = nlohmann::json::object();

  /// What a policy may read when it is replayed.
  StatisticSet statistics() const;
  std::size_t heads() const;  ///< recorded, over all layers
};

nlohmann::json to_json(const Settings& settings);
/// Throws std::runtime_error (subject, rule, value seen): nothing read is trusted.
Settings settings_from_json(const nlohmann::json& json);

/// Tokens seen at each update of a prompt of which `tokens` are compressed: the multiples of the interval, and the end.
std::vector<std::size_t> update_points(std::size_t tokens, int interval_tokens);

}  // namespace namm::trace
