#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace namm::test {

/// A folder of its own, empty, gone at the end.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  const std::filesystem::path& path() const { return path_; }
  /// Names in it, sorted, to see that nothing was left behind.
  std::vector<std::string> names() const;

 private:
  std::filesystem::path path_;
};

std::string read(const std::filesystem::path& path);
/// Lines of JSON, as `namm` writes its results.
std::vector<nlohmann::json> parse_lines(const std::string& text);
void write(const std::filesystem::path& path, const std::string& content);

}  // namespace namm::test
