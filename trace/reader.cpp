#include "trace/reader.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <stdexcept>

#include "base/json_fields.hpp"
#include "base/json_limits.hpp"
#include "trace/chunk.hpp"

namespace namm::trace {
namespace {

/// The file's bytes, as long as somebody needs them.
class Mapping {
 public:
  explicit Mapping(const std::filesystem::path& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat facts {};
    if (file < 0 || ::fstat(file, &facts) != 0 || !S_ISREG(facts.st_mode)) {
      if (file >= 0) ::close(file);
      throw std::runtime_error("cannot be read; check the path and its permissions");
    }
    size_ = static_cast<std::size_t>(facts.st_size);
    if (size_ > 0) data_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
    ::close(file);
    if (data_ == MAP_FAILED) throw std::runtime_error("cannot be mapped into memory");
  }
  ~Mapping() {
    if (data_ != nullptr) ::munmap(data_, size_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(data_), size_}; }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

[[noreturn]] void damaged(std::uint64_t at, const char* rule) {
  std::string message("damaged at byte ");
  message.append(std::to_string(at)).append(": ").append(rule).append("; record it again");
  throw std::runtime_error(message);
}

struct Chunk {
  ChunkKind kind{};
  std::span<const std::byte> payload;
  std::uint64_t at = 0, end = 0;
};

/// The chunk that begins at `at`; nothing if the file ends before it does.
std::optional<Chunk> next_chunk(std::span<const std::byte> file, std::uint64_t at) {
  if (file.size() - at < sizeof(ChunkHeader)) return std::nullopt;
  ChunkHeader header;
  std::memcpy(&header, file.data() + at, sizeof header);
  if (std::string_view(header.magic, sizeof header.magic) != kMagic || header.header_crc != header_crc(header) ||
      header.zero != 0 || header.kind < 1 || header.kind > 3)
    damaged(at, "a chunk must begin here");
  const std::uint64_t left = file.size() - at - sizeof header;
  if (header.bytes > left || padding(header.bytes) > left - header.bytes) return std::nullopt;
  const std::uint64_t begin = at + sizeof header;
  const auto payload = file.subspan(begin, header.bytes);
  const auto zeros = file.subspan(begin + header.bytes, padding(header.bytes));
  if (crc32c(payload) != header.payload_crc ||
      std::any_of(zeros.begin(), zeros.end(), [](std::byte b) { return b != std::byte{0}; }))
    damaged(at, "a chunk's content must match its checksum");
  return Chunk{static_cast<ChunkKind>(header.kind), payload, at, begin + header.bytes + zeros.size()};
}

nlohmann::json json_of(const Chunk& chunk) {
  return detail::parse_json({reinterpret_cast<const char*>(chunk.payload.data()), chunk.payload.size()});
}

std::vector<Token> tokens_of(const detail::JsonFields& fields, const char* name) {
  const nlohmann::json& list = fields.need(name);
  constexpr std::size_t most = std::size_t{1} << 22;
  if (!list.is_array() || list.size() > most) fields.refuse(name, "a list of tokens");
  std::vector<Token> out;
  for (const nlohmann::json& token : list) {
    if (!token.is_number_integer() || token.get<std::int64_t>() < 0 || token.get<std::int64_t>() > INT32_MAX)
      fields.refuse(name, "a list of tokens");
    out.push_back(token.get<Token>());
  }
  return out;
}

PromptFacts facts_of(const Chunk& chunk) {
  const nlohmann::json object = json_of(chunk);
  const detail::JsonFields fields(object, "prompt.");
  fields.allow_only({"id", "task", "split", "compressed", "tail", "answer_tokens"});
  PromptFacts out;
  out.id = fields.text("id");
  out.task = fields.text("task");
  out.split = fields.text("split");
  out.compressed = tokens_of(fields, "compressed");
  out.tail = tokens_of(fields, "tail");
  if (out.compressed.empty()) fields.refuse("compressed", "a list of at least one token");
  out.answer_tokens = static_cast<std::size_t>(fields.integer("answer_tokens", 0, static_cast<std::int64_t>(out.tail.size())));
  return out;
}

}  // namespace

bool Reader::is_trace(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  char magic[8] = {};
  return in.read(magic, sizeof magic) && std::string_view(magic, sizeof magic) == kMagic;
}

Reader::Reader(const std::filesystem::path& path) try {
  const auto mapping = std::make_shared<const Mapping>(path);
  const std::span<const std::byte> file = mapping->bytes();
  file_bytes_ = file.size();
  if (file.size() < kMagic.size() || std::memcmp(file.data(), kMagic.data(), kMagic.size()) != 0)
    throw std::runtime_error("must be a trace of version 1, as 'namm trace' writes them, begins otherwise");
  auto chunk = next_chunk(file, 0);
  if (!chunk || chunk->kind != ChunkKind::settings) damaged(0, "must begin with whole settings");
  settings_ = std::make_unique<Settings>(settings_from_json(json_of(*chunk)));
  whole_bytes_ = chunk->end;
  while ((chunk = next_chunk(file, whole_bytes_))) {
    if (chunk->kind != ChunkKind::prompt) damaged(chunk->at, "a prompt must begin here");
    PromptRecord record;
    record.facts = facts_of(*chunk);
    for (const RecordedLayer& layer : settings_->layers) {
      chunk = next_chunk(file, chunk->end);
      if (!chunk) return;
      Layout layout(*settings_, layer, record.facts.compressed.size());
      if (chunk->kind != ChunkKind::layer || chunk->payload.size() != layout.bytes())
        damaged(chunk->at, "a layer of the size that the settings and the prompt tell must begin here");
      record.layers.emplace_back(*settings_, layer, std::move(layout), chunk->payload);
    }
    record.memory = mapping;
    prompts_.push_back(std::move(record));
    whole_bytes_ = chunk->end;
  }
} catch (const std::exception& error) {
  throw std::runtime_error(path.string() + ": " + error.what());
}

std::vector<const PromptRecord*> Reader::training_prompts() const {
  std::vector<const PromptRecord*> out;
  for (const PromptRecord& prompt : prompts_)
    if (prompt.facts.split == "train") out.push_back(&prompt);
  if (out.empty())
    for (const PromptRecord& prompt : prompts_) out.push_back(&prompt);
  return out;
}

}  // namespace namm::trace
