#include "adapters/llama_cpp/context/saved_state.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

#include "adapters/llama_cpp/backend/row_trace.hpp"
#include "base/bytes.hpp"
#include "base/crc32c.hpp"

namespace namm::llama {
namespace {

constexpr std::string_view kStateMagic = "NAMMSTA2", kStateMagicBefore = "NAMMSTA1";
constexpr std::uint64_t kLargestRest = std::uint64_t{1} << 40;  // of the runtime's state without rows, bytes

constexpr std::size_t kChecked = kStateMagic.size() + sizeof(std::uint64_t) + sizeof(std::uint32_t);  // covered from here on

/// Zeros as large as a full cache that cost nothing until they are written.
class Scratch {
 public:
  explicit Scratch(std::size_t bytes) : bytes_(bytes) {
    if (bytes == 0) return;
    data_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data_ == MAP_FAILED)
      throw std::runtime_error("saved state: address space for " + std::to_string(bytes) + " bytes must be there, is not");
  }
  ~Scratch() {
    if (bytes_ > 0) munmap(data_, bytes_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::span<std::byte> bytes() { return {static_cast<std::byte*>(data_), bytes_}; }

 private:
  void* data_ = nullptr;
  std::size_t bytes_;
};

struct Cut {
  std::uint64_t offset = 0, length = 0;
};

/// The parts between cuts, in order.
template <class Visit>
void for_each_rest(std::span<std::byte> whole, const std::vector<Cut>& cuts, Visit visit) {
  std::uint64_t at = 0;
  for (const Cut& cut : cuts) {
    if (cut.offset > at) visit(whole.subspan(at, cut.offset - at));
    at = cut.offset + cut.length;
  }
  if (at < whole.size()) visit(whole.subspan(at));
}

std::size_t runtime_size(const StateSource& source, std::int32_t sequence) {
  return sequence < 0 ? source.runtime.state_size(source.context)
                      : source.runtime.sequence_state_size(source.context, sequence, 0);
}

}  // namespace

std::size_t write_state(const StateSource& source, std::int32_t sequence, std::span<std::byte> to) {
  Scratch scratch(runtime_size(source, sequence));
  auto* const data = reinterpret_cast<std::uint8_t*>(scratch.bytes().data());
  const std::size_t size = scratch.bytes().size();
  RowTrace trace;
  const std::size_t written = sequence < 0 ? source.runtime.get_state(source.context, data, size)
                                           : source.runtime.get_sequence_state(source.context, data, size, sequence, 0);
  if (written == 0 || written > size) throw std::runtime_error("saved state: llama.cpp must give its own part, gave none");

  std::vector<Cut> cuts;
  for (const std::span<const std::byte> copy : trace.copies())
    cuts.push_back({static_cast<std::uint64_t>(copy.data() - scratch.bytes().data()), copy.size()});
  const auto assemble = [&](std::size_t total, std::span<std::byte> target) {
    ByteWriter out(target);
    out.numbers(std::span<const char>(kStateMagic));
    out.number<std::uint64_t>(total);
    out.number<std::uint32_t>(0);  // the checksum, of what follows
    out.number<std::int32_t>(sequence);
    out.number<std::uint64_t>(written);
    out.number<std::uint64_t>(cuts.size());
    for (const Cut& cut : cuts) {
      out.number<std::uint64_t>(cut.offset);
      out.number<std::uint64_t>(cut.length);
    }
    for_each_rest(scratch.bytes().first(written), cuts,
                  [&](std::span<std::byte> rest) { out.numbers(std::span<const std::byte>(rest)); });
    source.store.save(out, trace.rows(), source.names_of);
    return out.count();
  };
  const std::size_t total = assemble(0, {});
  if (to.size() < total) return total;
  assemble(total, to);
  const std::uint32_t checksum = crc32c(to.first(total).subspan(kChecked));
  std::memcpy(to.data() + kChecked - sizeof checksum, &checksum, sizeof checksum);
  return total;
}

std::size_t state_bytes(std::span<const std::byte> from) {
  if (from.empty()) throw std::runtime_error("saved state: must be what was saved, is empty; give what was saved");
  ByteReader in(from);
  const auto magic = from.size() < kStateMagic.size() ? std::vector<char>() : in.numbers<char>(kStateMagic.size());
  if (std::string_view(magic.data(), magic.size()) == kStateMagicBefore)
    throw std::runtime_error(
        "saved state: must have a checksum, has none: it is of an earlier version; read the text again and save it anew");
  if (std::string_view(magic.data(), magic.size()) != kStateMagic)
    throw std::runtime_error(
        "saved state: must be one that was saved with a policy attached, begins otherwise; run without a policy to load it");
  return in.number<std::uint64_t>("size", kChecked, from.size());
}

std::vector<std::pair<std::int64_t, CacheStore::Names>> read_state(const StateSource& source, std::int32_t sequence,
                                                                   std::span<const std::byte> from,
                                                                   const std::function<void()>& forget) {
  const std::span<const std::byte> state = from.first(state_bytes(from));
  ByteReader in(state);
  in.take(kChecked - sizeof(std::uint32_t), 1);
  if (in.number<std::uint32_t>() != crc32c(state.subspan(kChecked)))
    throw std::runtime_error("saved state: must be what was saved, has another checksum; it is damaged, save it again");
  const auto saved_sequence = in.number<std::int32_t>();
  if ((saved_sequence < 0) != (sequence < 0))
    throw std::runtime_error(std::string("saved state: must be of ") + (sequence < 0 ? "a whole context" : "one sequence") +
                             ", is of " + (sequence < 0 ? "one sequence" : "a whole context") + "; load it the way it was saved");
  const auto size = in.number<std::uint64_t>();
  const auto count = in.number<std::uint64_t>();
  if (count > in.left() / sizeof(Cut)) in.take(count, sizeof(Cut));  // throws: ends too early
  std::vector<Cut> cuts;
  std::uint64_t end = 0, length = 0;
  const auto most_rows = static_cast<std::uint64_t>(source.store.runtime_bytes()) + 64;
  for (std::uint64_t i = 0; i < count; ++i) {
    Cut cut;
    cut.offset = in.number<std::uint64_t>("place of a row", end, kLargestRest + most_rows);
    cut.length = in.number<std::uint64_t>();
    if (cut.length > most_rows - length)
      throw std::runtime_error("saved state: its rows must fit into the context, which has room for " +
                               std::to_string(most_rows) + " bytes of the runtime's, take " + std::to_string(cut.length) +
                               " and more; load it into a context with the n_ctx, model and cache types that it was saved with");
    end = cut.offset + cut.length;
    length += cut.length;
    cuts.push_back(cut);
  }
  if (size < end || size - length > in.left())
    throw std::runtime_error("saved state: llama.cpp's part must be " + std::to_string(size) +
                             " bytes with its rows, is not; the file is damaged, save it again");
  Scratch scratch(size);
  for_each_rest(scratch.bytes(), cuts, [&](std::span<std::byte> rest) {
    const auto bytes = in.take(rest.size(), 1);
    std::copy(bytes.begin(), bytes.end(), rest.begin());
  });
  const auto saved = source.store.read(in);

  forget();
  const auto remove = [&] {
    if (sequence < 0)
      source.runtime.clear(source.runtime.get_memory(source.context), false);
    else
      source.runtime.remove(source.runtime.get_memory(source.context), sequence, -1, -1);
  };
  RowTrace trace;
  const auto* const data = reinterpret_cast<const std::uint8_t*>(scratch.bytes().data());
  const std::size_t read = sequence < 0 ? source.runtime.set_state(source.context, data, size)
                                        : source.runtime.set_sequence_state(source.context, data, size, sequence, 0);
  if (read != size) {
    remove();
    throw std::runtime_error(
        "saved state: llama.cpp must take its own part, refused it (no room in its cache, another model or other settings); see "
        "its "
        "own message");
  }
  try {
    return source.store.install(saved, trace.rows());
  } catch (...) {
    remove();
    throw;
  }
}

}  // namespace namm::llama
