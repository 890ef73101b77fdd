#pragma once
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace namm::fuzz {

/// A reader of files that strangers may have written.
struct Target {
  std::string_view name;
  /// Reads the file, and uses what came out of it. May throw std::runtime_error or std::invalid_argument with one line.
  void (*read)(const std::filesystem::path& file);
  /// Writes files that are read without an error, by the program's own writers, into an empty folder.
  void (*write_seeds)(const std::filesystem::path& folder);
  /// Makes checksums right again, so that what is behind them is tried, too; null where there are none.
  std::string (*repair)(std::string content) = nullptr;
};

std::span<const Target> targets();

/// Reads `content` as a file. False if it was refused. Any other exception, and a refusal that is not one line of visible text,
/// ends the process: a finding.
bool try_target(const Target& target, std::string_view content);

}  // namespace namm::fuzz
