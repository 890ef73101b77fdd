#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace namm {

/// Tensors of floating-point numbers in the format of the safetensors library (huggingface.co/docs/safetensors):
///
///     8 bytes          N, little-endian
///     N bytes          {"__metadata__": {"name": "text", ...},
///                       "tensor": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}
///     all that is left the numbers, little-endian; offsets count from here, and leave no byte out or in two tensors
struct Tensor {
  std::string name;
  std::size_t number_bytes = sizeof(float);  ///< 4 (F32) or 8 (F64)
  std::vector<std::uint64_t> shape;          ///< empty: one number
  std::string_view bytes;                    ///< the numbers in row-major order; may be unaligned
  std::size_t count() const { return bytes.size() / number_bytes; }
};

struct Safetensors {
  std::map<std::string, std::string> metadata;
  std::vector<Tensor> tensors;  ///< in the order of their bytes
};

/// Whether it begins like one: a length that no text begins with, and the header's brace.
bool is_safetensors(std::string_view content);

/// `content` must outlive what is returned, whose tensors point into it. Throws std::runtime_error (subject, rule, value seen) on
/// anything that the format does not allow, on other types than F32 and F64, and on numbers that are not finite.
Safetensors read_safetensors(std::string_view content);

/// What stands before the bytes of the tensors, which follow one behind the other: the length and the header, filled up with
/// blanks to a multiple of 8 bytes. Tensors of F64 must come first, so that all numbers are aligned.
std::string safetensors_header(const std::map<std::string, std::string>& metadata, std::span<const Tensor> tensors);

}  // namespace namm
