#include "eval/model_fingerprint.hpp"

#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <regex>
#include <vector>

#include "base/atomic_file.hpp"
#include "base/fingerprint.hpp"
#include "base/format.hpp"
#include "eval/fingerprint.hpp"

namespace namm::eval {
namespace {

namespace fs = std::filesystem;

/// The file itself, or all parts of a split model in their order.
std::vector<fs::path> parts_of(const fs::path& model) {
  static const std::regex kPart("(.*-)[0-9]{5}-of-([0-9]{5})\\.gguf");
  const std::string name = model.filename().string();
  std::smatch match;
  if (!std::regex_match(name, match, kPart)) return {model};
  std::vector<fs::path> out;
  if (std::stoi(match[2]) == 0) return {model};
  for (int part = 1; part <= std::stoi(match[2]); ++part) {
    out.push_back(model.parent_path() / (match[1].str() + format_number("%05.0f", part) + "-of-" + match[2].str() + ".gguf"));
  }
  return out;
}

/// Where the fingerprint of a file in its present state is kept; empty if there is no such folder.
fs::path place_of(const fs::path& file) {
  const char* const cache = std::getenv("XDG_CACHE_HOME");
  const char* const home = std::getenv("HOME");
  struct stat facts = {};
  if (((!cache || !*cache) && (!home || !*home)) || stat(file.c_str(), &facts) != 0) return {};
  std::error_code error;
  const fs::path folder = cache && *cache ? fs::path(cache) : fs::path(home) / ".cache";
  std::string state = fs::canonical(file, error).string();
  for (const long long number :
       {static_cast<long long>(facts.st_dev), static_cast<long long>(facts.st_ino), static_cast<long long>(facts.st_size),
        static_cast<long long>(facts.st_mtim.tv_sec), static_cast<long long>(facts.st_mtim.tv_nsec),
        static_cast<long long>(facts.st_ctim.tv_sec), static_cast<long long>(facts.st_ctim.tv_nsec)})
    state.append(" ").append(std::to_string(number));
  return folder / "namm" / "models" / fingerprint(state);
}

std::string kept_fingerprint(const fs::path& file) {
  const fs::path place = place_of(file);
  std::string kept;
  if (std::ifstream in(place);
      !place.empty() && in && in >> kept && kept.size() == 16 && kept.find_first_not_of("0123456789abcdef") == std::string::npos)
    return kept;
  kept = file_fingerprint(file);
  if (place.empty()) return kept;
  try {
    fs::create_directories(place.parent_path());
    write_file_atomically(place, kept + "\n");
  } catch (const std::exception&) {  // then it is read again next time
  }
  return kept;
}

}  // namespace

std::string model_fingerprint(const fs::path& model) {
  const std::vector<fs::path> parts = parts_of(model);
  if (parts.size() == 1) return kept_fingerprint(model);
  std::string all;
  for (const fs::path& part : parts) all += kept_fingerprint(part);
  return fingerprint(all);
}

}  // namespace namm::eval
