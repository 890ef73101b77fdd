#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace namm::preload {

/// Programs of llama.cpp, as bits: they differ in the flags they know.
inline constexpr unsigned kServer = 1, kCli = 2, kCompletion = 4, kBench = 8, kOther = 16;

/// Where the KV cache of the program will be.
enum class CachePlace { host, device };

/// What an attachment asks of one flag of llama.cpp.
struct Rule {
  using Words = std::vector<std::string_view>;
  unsigned programs;
  Words names;                ///< spellings of the flag, as llama.cpp's parser has them after `_` became `-`
  std::string_view variable;  ///< environment variable that llama.cpp reads for it, or ""
  bool takes_value;
  Words allowed;   ///< values that do not conflict; none: the flag itself conflicts; "any": it is what is wanted
  Words supplied;  ///< appended where the user gave no such flag
  std::string_view why;
  bool device = true;  ///< whether it is asked for with the cache in device memory, too
  bool applies(unsigned program, CachePlace place) const {
    return (programs & program) != 0 && (place == CachePlace::host || device);
  }
};

std::span<const Rule> attach_rules();

/// What a word of the command line is looked up by: "--spec_type=x" is "--spec-type". llama.cpp takes `_` for `-` behind `--`.
std::string flag_name(std::string_view word);

}  // namespace namm::preload
