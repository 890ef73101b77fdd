#include "eval/fingerprint.hpp"

#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/fingerprint.hpp"
#include "base/fnv1a.hpp"
#include "tasks/code_corpus.hpp"

namespace namm::eval {
namespace {

std::string corpus_fingerprint(const tasks::CodeCorpus& corpus) {
  constexpr std::string_view kEnd("\0", 1);  // the same letters in another file are another corpus
  std::uint64_t state = kFnvStart;
  for (const tasks::Split split : {tasks::Split::train, tasks::Split::validation, tasks::Split::test})
    for (std::size_t i = 0; i < corpus.size(split); ++i)
      if (const auto file = corpus.read(split, i)) state = fnv1a(kEnd, fnv1a(file->text, fnv1a(kEnd, fnv1a(file->path, state))));
  return hex_digits(state);
}

}  // namespace

std::string file_fingerprint(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::uint64_t state = kFnvStart;
  char buffer[1 << 16];
  while (in.read(buffer, sizeof buffer) || in.gcount() > 0) state = fnv1a({buffer, static_cast<std::size_t>(in.gcount())}, state);
  if (!in.eof()) throw std::runtime_error(path.string() + ": cannot be read; check the path");
  return hex_digits(state);
}

std::string haystack_fingerprint(const std::string& name) {
  constexpr std::string_view kFolder = "code:", kFile = "file:";
  for (const std::string_view own : {"own", "prose", "repeated", "code"})
    if (name == own) return name;
  if (name.starts_with(kFolder)) return corpus_fingerprint(tasks::CodeCorpus(name.substr(kFolder.size())));
  return file_fingerprint(name.starts_with(kFile) ? name.substr(kFile.size()) : name);
}

std::string memory_fingerprint(const CachePolicy& memory) {
  const SelectionSettings& selection = memory.selection;
  nlohmann::json content = {{"policy", memory.policy ? std::string(memory.policy->name()) : std::string()},
                            {"content", memory.policy ? memory.policy->to_json() : nlohmann::json()},
                            {"spectrogram", {memory.spectrogram.fft_size, memory.spectrogram.hop, memory.spectrogram.decay}},
                            {"protected", {selection.sinks, selection.recent}}};
  if (memory.store != RowFormats()) content["store"] = to_string(memory.store);
  return fingerprint(content.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace namm::eval
