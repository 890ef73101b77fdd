#pragma once
#include <memory>
#include <vector>

#include "namm/policy.hpp"
#include "trace/record.hpp"

namespace namm::trace {

/// A policy that keeps everything and records what policies read at every update of the compressed tokens, their keys and values,
/// and the attention that they receive from the tail. For one sequence. Heads and layers have memory of their own: a host's
/// threads do not meet.
class Recorder final : public Policy, private ContentReader, private AttentionListener {
 public:
  /// The settings must outlive what is recorded.
  Recorder(const Settings& settings, PromptFacts facts);
  /// After the tail was evaluated. Throws std::runtime_error if the host did not show every update of every layer.
  PromptRecord finish();

  std::string_view name() const override { return "trace-recorder"; }
  StatisticSet required() const override { return settings_.statistics(); }
  const ContentReader* reader() const override { return settings_.rows == Rows::none ? nullptr : this; }
  const AttentionListener* listener() const override { return this; }
  void score(const HeadTokens& tokens, std::span<float> scores) const override;
  /// A recorder is one sequence's; throws std::logic_error.
  std::unique_ptr<Policy> clone() const override;
  nlohmann::json to_json() const override;

 private:
  struct Head {
    std::size_t updates = 0;  ///< seen so far
  };
  struct Layer {
    Layout layout;
    std::vector<std::byte> bytes;
    std::vector<Head> heads;
    std::size_t rows = 0;  ///< tokens whose keys and values are there
    float* floats() { return reinterpret_cast<float*>(bytes.data()); }
  };
  /// The recorded layer and its number; null if there is none.
  Layer* find(int layer, std::size_t& number) const;
  /// Number among the recorded heads, or npos.
  std::size_t head_number(std::size_t layer_number, int kv_head) const;
  void read(const LayerTokens& tokens, std::span<float> out) const override;
  void observe(const AttentionRows& rows) const override;

  const Settings& settings_;
  PromptFacts facts_;
  mutable std::vector<Layer> layers_;
};

}  // namespace namm::trace
