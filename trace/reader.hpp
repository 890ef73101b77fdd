#pragma once
#include <filesystem>
#include <memory>
#include <vector>

#include "trace/record.hpp"

namespace namm::trace {

/// A trace in a file, mapped into memory. Everything is checked before it is used: sizes against the file, checksums of all
/// chunks, numbers against what the settings say.
class Reader {
 public:
  /// Throws std::runtime_error in one line (file, rule, place) if it is no trace, damaged or of another version.
  explicit Reader(const std::filesystem::path& path);

  const Settings& settings() const { return *settings_; }
  const std::vector<PromptRecord>& prompts() const { return prompts_; }
  /// Those of the training split; all if there are none.
  std::vector<const PromptRecord*> training_prompts() const;
  /// Bytes up to the end of the last whole prompt; less than the file's if recording was interrupted in the middle of one.
  std::uint64_t whole_bytes() const { return whole_bytes_; }
  std::uint64_t file_bytes() const { return file_bytes_; }

  /// True if the file begins like a trace.
  static bool is_trace(const std::filesystem::path& path);

 private:
  std::unique_ptr<Settings> settings_;  // records point to it
  std::vector<PromptRecord> prompts_;
  std::uint64_t whole_bytes_ = 0, file_bytes_ = 0;
};

}  // namespace namm::trace
