#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace namm {

/// How a store holds keys or values: as halves, or as codes of 8 or 4 bits with a half as scale for every 32 numbers of an entry,
/// 8.5 and 4.5 bits a number in place of 16 (as large as llama.cpp's cache types of these names). Rows of 4 bits are rotated
/// first.
enum class RowFormat : std::uint8_t { f16, q8_0, q4_0 };

/// What a store holds: rows of kept tokens in these formats, and means of evicted ones.
struct RowFormats {
  RowFormat keys = RowFormat::f16, values = RowFormat::f16;
  /// At most so many entries per layer and KV head stand for what was evicted there, 0 .. 16: the mean key and value of tokens
  /// with like keys, in 16 bits, seen with the log of their number added to the logit. They count in the budget.
  int means = 0;
  friend bool operator==(const RowFormats&, const RowFormats&) = default;
};

/// "f16", "q8_0", "q4_0", or keys and values apart: "q8_0,q4_0"; with means behind it: "f16+4means". Throws
/// std::invalid_argument.
RowFormats parse_row_formats(std::string_view text);
/// The shortest of these.
std::string to_string(const RowFormats& formats);

/// What a token takes in 16 bits over what it takes in these formats; of keys as long as values and a length that 32 divides.
double usual_compression(const RowFormats& formats);
/// The tokens whose place in a budget the means take: they stay in 16 bits. `compression` as of usual_compression(), or a
/// model's.
int tokens_of_means(const RowFormats& formats, double compression);

}  // namespace namm
