#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

struct gguf_context;

namespace namm::llama {

/// Metadata and tensor list of a GGUF file; weights are not read. A value of another type than asked for counts as absent.
class GgufHeader {
 public:
  /// Throws std::runtime_error in one line: cut off, damaged, of an unknown version.
  explicit GgufHeader(const std::filesystem::path& path);

  std::optional<std::int64_t> integer(const std::string& key) const;
  std::optional<double> real(const std::string& key) const;
  std::string text(const std::string& key) const;  ///< "" if absent
  /// An array, or one value as an array of one; empty if absent.
  std::vector<std::int64_t> integers(const std::string& key) const;
  /// Length of an array of any type; 0 if absent.
  std::size_t array_length(const std::string& key) const;

  std::int64_t tensors() const;
  double parameters() const;             ///< numbers in all tensors
  std::uint64_t weights_offset() const;  ///< where in the file the header ends and the weights begin, in bytes

 private:
  struct Free {
    void operator()(gguf_context* context) const;
  };
  std::unique_ptr<gguf_context, Free> context_;
};

}  // namespace namm::llama
