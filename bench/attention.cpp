// Ragged attention as the store runs it, beside llama.cpp's own flash attention on the same keys, values and queries.
#include <cmath>
#include <cstdio>
#include <stdexcept>

#include "adapters/llama_cpp/store/group_attention.hpp"
#include "base/format.hpp"
#include "bench/cases.hpp"
#include "bench/flash.hpp"

namespace namm::bench {
namespace {

/// Lists that hold `kept` of the inputs' tokens in every head: the queries' own, and older ones at even distances.
class RaggedAttention {
 public:
  RaggedAttention(const AttentionInputs& inputs, std::size_t kept, StatisticSet statistics, int threads, RowFormats formats)
      : inputs_(&inputs) {
    const AttentionShape& s = inputs.shape;
    const auto cells = static_cast<std::size_t>(s.cells), own = static_cast<std::size_t>(s.queries);
    std::vector<std::int32_t> held;
    const std::size_t old = kept - own;
    for (std::size_t i = 0; i < old; ++i) held.push_back(static_cast<std::int32_t>(i * (cells - own) / old));
    for (std::size_t i = cells - own; i < cells; ++i) held.push_back(static_cast<std::int32_t>(i));
    group_.first.assign(cells, 0);
    group_.last.assign(cells, s.queries - 1);
    for (int q = 0; q < s.queries; ++q) {
      const int cell = s.cells - s.queries + q;
      group_.queries.push_back(q);
      group_.cells.push_back(cell);
      group_.positions.push_back(cell);
      group_.first[static_cast<std::size_t>(cell)] = q;
    }
    StatisticsSettings settings;
    settings.needed = statistics;
    const std::size_t width = s.head_size * static_cast<std::size_t>(s.kv_heads);
    for (int layer = 0; layer < s.layers; ++layer) {
      auto& heads = layers_.emplace_back();
      const auto region = std::make_shared<llama::PageRegion>();
      for (int h = 0; h < s.kv_heads; ++h) {
        heads.emplace_back(s.head_size, s.head_size, settings, region, formats);
        const std::size_t offset = static_cast<std::size_t>(h) * s.head_size;
        for (const std::int32_t cell : held) {
          const std::size_t row = static_cast<std::size_t>(cell) * width + offset;
          heads.back().append({&cell, 1}, {&cell, 1}, {inputs.keys[static_cast<std::size_t>(layer)].data() + row, width},
                              {inputs.values[static_cast<std::size_t>(layer)].data() + row, width});
        }
      }
    }
    output_.resize(inputs.queries.size());
    call_.queries = inputs.queries.data();
    call_.output = output_.data();
    call_.query_head_stride = call_.output_head_stride = s.head_size;
    call_.query_token_stride = call_.output_token_stride = s.head_size * static_cast<std::size_t>(s.query_heads);
    call_.query_heads = s.query_heads;
    call_.queries_per_stream = s.queries;
    call_.scale = 1.0f / std::sqrt(static_cast<float>(s.head_size));
    call_.threads = threads;
    // query i sees the old tokens and its own up to i
    pairs_ = static_cast<double>(own) * static_cast<double>(old) + static_cast<double>(own * (own + 1)) / 2;
    const std::size_t row = kernels::row_bytes(formats.keys, s.head_size) + kernels::row_bytes(formats.values, s.head_size);
    bytes_ = static_cast<double>(held.size() * row * static_cast<std::size_t>(s.kv_heads)) * s.layers;
  }

  void run() {
    for (auto& heads : layers_) llama::attend_group(heads, group_, call_, 0);
  }
  double flops() const {
    const AttentionShape& s = inputs_->shape;
    return 4 * pairs_ * static_cast<double>(s.head_size) * s.query_heads * s.layers;
  }
  double bytes() const { return bytes_; }

  /// Refuses to time two things that do not compute the same, but for what rows of fewer bits change.
  void check(const float* expected, double allowed = 0.02) {
    run();
    double worst = 0;
    for (std::size_t i = 0; i < output_.size(); ++i)
      worst = std::max(worst, std::abs(static_cast<double>(output_[i]) - static_cast<double>(expected[i])));
    if (!(worst < allowed))
      throw std::runtime_error("bench: ragged and flash attention must agree to " + format_number("%g", allowed) +
                               ", differ by " + std::to_string(worst));
  }

 private:
  const AttentionInputs* inputs_;
  std::vector<std::vector<llama::HeadList>> layers_;
  llama::QueryGroup group_;
  llama::AttentionCall call_;
  std::vector<float> output_;
  double pairs_ = 0, bytes_ = 0;
};

std::vector<BenchCase> attention_cases(const char* kernel, const AttentionShape& shape, const BenchSettings& settings) {
  const auto inputs = std::make_shared<AttentionInputs>(shape);
  const auto flash = std::make_shared<FlashAttention>(*inputs, settings.threads);
  const auto cells = static_cast<std::size_t>(shape.cells);
  const auto lists = [&](std::size_t kept, StatisticSet statistics, RowFormats formats = {}) {
    return std::make_shared<RaggedAttention>(*inputs, kept, statistics, settings.threads, formats);
  };
  constexpr RowFormats kBytes{RowFormat::q8_0, RowFormat::q8_0}, kHalfBytes{RowFormat::q4_0, RowFormat::q4_0};
  const auto full = lists(cells, {});
  flash->run();
  full->check(flash->output());
  char text[120];
  std::snprintf(text, sizeof text, "%d x %d, %d query heads, %d KV heads of %zu, %d layers", shape.queries, shape.cells,
                shape.query_heads, shape.kv_heads, shape.head_size, shape.layers);
  BenchCase out{kernel, text, {}};
  out.variants.push_back({"ggml flash attention", [inputs, flash] { flash->run(); }, full->bytes(), full->flops(), {}});
  const auto add = [&](const char* name, const std::shared_ptr<RaggedAttention>& ragged) {
    out.variants.push_back({name, [inputs, ragged] { ragged->run(); }, ragged->bytes(), ragged->flops(), {}});
  };
  add("ragged, all entries", full);
  add("ragged, 25 %", lists(cells / 4, {}));
  add("ragged, 12.5 %", lists(cells / 8, {}));
  const auto bytes = lists(cells, {}, kBytes), half_bytes = lists(cells, {}, kHalfBytes);
  bytes->check(flash->output());
  half_bytes->check(flash->output(), 0.2);
  add("ragged, all entries, q8_0", bytes);
  add("ragged, all entries, q4_0", half_bytes);
  const auto mixed = lists(cells, {}, {RowFormat::q8_0, RowFormat::q4_0});
  mixed->check(flash->output(), 0.2);
  add("ragged, all entries, q8_0,q4_0", mixed);
  add("ragged, 25 %, q8_0", lists(cells / 4, {}, kBytes));
  add("ragged, 25 %, q4_0", lists(cells / 4, {}, kHalfBytes));
  add("ragged, accumulated attention", lists(cells, Statistic::accumulated));
  add("ragged, all, spectrogram", lists(cells, Statistic::spectrogram));
  return {std::move(out)};
}

}  // namespace

std::vector<BenchCase> bench_prefill(const BenchSettings& settings) {
  AttentionShape shape;
  shape.queries = settings.small ? 32 : 512;
  shape.cells = settings.small ? 256 : 4096;
  return attention_cases("attention-prefill", shape, settings);
}

std::vector<BenchCase> bench_decode(const BenchSettings& settings) {
  AttentionShape shape;
  shape.layers = settings.small ? 2 : 10;  // 63 MB: more than the caches, as the layers of a model are
  shape.cells = settings.small ? 256 : 8192;
  return attention_cases("attention-decode", shape, settings);
}

}  // namespace namm::bench
