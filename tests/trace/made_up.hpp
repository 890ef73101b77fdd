#pragma once
// Records that no model made, with every number different.
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>

#include "trace/record.hpp"

namespace made_up {

using namespace namm;
using namespace namm::trace;

/// Two recorded layers, one with a part of its heads, of a model with three.
inline Settings settings() {
  Settings out;
  out.host.model = "made-up";
  out.host.architecture = "none";
  out.host.layers = 3;
  out.host.query_heads = 4;
  out.host.cached = {{0, 2, 8, 4, 0}, {1, 2, 8, 4, 64}, {2, 3, 8, 8, 0}};
  out.layers = {{out.host.cached[0], {0, 1}}, {out.host.cached[2], {0, 2}}};
  out.interval_tokens = 16;
  out.provenance = {{"seed", 1}};
  return out;
}

inline PromptRecord record(const Settings& settings, std::size_t tokens, unsigned seed) {
  PromptRecord out;
  out.facts.id = std::string("task/train/").append(std::to_string(seed));
  out.facts.task = "task";
  out.facts.split = seed % 2 == 0 ? "train" : "validation";
  out.facts.compressed.resize(tokens);
  std::iota(out.facts.compressed.begin(), out.facts.compressed.end(), 3);
  out.facts.tail = {5, 6, 7};
  out.facts.answer_tokens = 2;
  auto memory = std::make_shared<std::vector<std::vector<std::byte>>>();
  std::uint32_t state = seed * 2654435761u + 1;
  for (const RecordedLayer& layer : settings.layers) {
    Layout layout(settings, layer, tokens);
    std::vector<std::byte>& bytes = memory->emplace_back(layout.bytes());
    for (std::size_t i = 0; i + sizeof(float) <= layout.rows(); i += sizeof(float)) {
      state = state * 1664525u + 1013904223u;
      const float value = static_cast<float>(state >> 8) / static_cast<float>(1 << 24);
      std::memcpy(bytes.data() + i, &value, sizeof value);
    }
    out.layers.emplace_back(settings, layer, std::move(layout), bytes);
  }
  out.memory = memory;
  return out;
}

/// A name in a folder of this process; removed at the end.
class File {
 public:
  File() : path_(std::filesystem::temp_directory_path() / ("namm-trace-" + std::to_string(::getpid()))) { remove(); }
  ~File() { remove(); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::string read() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(std::string_view content) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc).write(content.data(), static_cast<std::streamsize>(content.size()));
  }
  void remove() const { std::filesystem::remove(path_); }

 private:
  std::filesystem::path path_;
};

}  // namespace made_up
