#pragma once
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>

#include "tasks/haystack.hpp"
#include "tasks/random.hpp"

namespace namm::tasks::testing {

/// A folder of made-up headers, the same in every run, that is there while the object is.
class CodeFolder {
 public:
  CodeFolder() : folder_(std::filesystem::temp_directory_path() / ("namm-code-" + std::to_string(std::random_device{}()))) {
    for (int module = 0; module < 8; ++module) {
      const auto inside = folder_ / ("module_" + std::to_string(module));
      std::filesystem::create_directories(inside);
      for (int part = 0; part < 8; ++part)
        std::ofstream(inside / ("part_" + std::to_string(part) + ".h")) << header(module, part);
    }
  }
  CodeFolder(const CodeFolder&) = delete;
  CodeFolder& operator=(const CodeFolder&) = delete;
  ~CodeFolder() {
    std::error_code error;
    std::filesystem::remove_all(folder_, error);
  }
  const std::filesystem::path& path() const { return folder_; }

  /// One for all tests.
  static const std::shared_ptr<const Haystack>& haystack() {
    static const CodeFolder folder;
    static const auto haystack = make_haystack("code:" + folder.path().string());
    return haystack;
  }

 private:
  static std::string header(int module, int part) {
    Rng rng("code-folder", Split::train, static_cast<std::uint64_t>(module), static_cast<std::uint64_t>(part));
    std::string text = "/* A made-up header.\n * It says = nothing (of use); */\n#pragma once\n\n";
    for (int i = 0; i < 30; ++i) {
      const std::string id = std::to_string(module) + "_" + std::to_string(part) + "_" + std::to_string(i);
      text.append("#define MADE_UP_")
          .append(id)
          .append(" ")
          .append(std::to_string(rng.between(100'000, 99'999'999)))
          .append("\n");
      text.append("// what number ").append(id).append(" is for\n");
      text.append("static inline int compute_").append(id).append("(int value) {\n  return value * ");
      text.append(std::to_string(rng.between(2, 99))).append(" + MADE_UP_").append(id).append(";\n}\n\n");
    }
    return text;
  }
  std::filesystem::path folder_;
};

}  // namespace namm::tasks::testing
