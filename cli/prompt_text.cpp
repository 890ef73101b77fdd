#include "cli/prompt_text.hpp"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <system_error>

#include "base/named_pipe.hpp"
#include "base/utf8.hpp"

namespace namm::cli {
namespace {

constexpr std::size_t kLargest = std::size_t{64} << 20;

std::string read_all(std::FILE* file, const std::string& name) {
  std::string text;
  char buffer[1 << 16];
  for (std::size_t count = 0; (count = std::fread(buffer, 1, sizeof buffer, file)) > 0;) {
    text.append(buffer, count);
    if (text.size() > kLargest) throw std::runtime_error(name + ": must be at most 64 MiB of text, is larger; give a part of it");
  }
  if (std::ferror(file) != 0)
    throw std::runtime_error(name + ": must be a readable text (" + std::generic_category().message(errno) +
                             "); give a text file");
  return text;
}

std::string read_file(const std::string& path) {
  if (is_named_pipe(path))
    throw std::runtime_error("--file " + path +
                             ": must be a file, is a FIFO; give a file, or leave --file out and write to standard input");
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file)
    throw std::runtime_error("--file " + path + ": cannot be read (" + std::generic_category().message(errno) +
                             "); check the path");
  return read_all(file.get(), "--file " + path);
}

}  // namespace

void add_prompt(po::options_description& options) {
  options.add_options()("prompt", po::value<std::string>()->value_name("TEXT"), "what the model reads; the memory compresses it");
  options.add_options()("file", po::value<std::string>()->value_name("FILE"),
                        "the same from a text file; without both: standard input");
}

std::string prompt_text_from(const po::variables_map& values) {
  if (values.contains("prompt") && values.contains("file"))
    throw std::invalid_argument("--prompt: must be given without --file; choose one");
  std::string text;
  if (values.contains("prompt"))
    text = values["prompt"].as<std::string>();
  else if (values.contains("file") && values["file"].as<std::string>() != "-")
    text = read_file(values["file"].as<std::string>());
  else if (!values.contains("file") && isatty(STDIN_FILENO) != 0)
    throw std::invalid_argument("prompt: must be given, is missing; use --prompt TEXT, --file FILE or standard input");
  else
    text = read_all(stdin, "standard input");
  if (text.empty())
    throw std::runtime_error("prompt: must be a text, is empty; use --prompt TEXT, --file FILE or standard input");
  if (const std::size_t bad = first_invalid_utf8(text); bad < text.size())
    spdlog::warn("prompt: should be UTF-8, is not at byte {} of {}; the model sees something else there", bad, text.size());
  return text;
}

}  // namespace namm::cli
