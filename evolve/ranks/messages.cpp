#include "evolve/ranks/messages.hpp"

#include <stdexcept>
#include <type_traits>
#include <utility>

#include "base/bytes.hpp"

namespace namm::evolve::messages {
namespace {

constexpr std::uint8_t kVersion = 2;

// One function per type lists its fields; a Writer or a Reader goes over them.

template <class Visit, class Part>
void part(Visit& visit, Part& x) {
  auto& selection = x.memory.selection;
  auto& spectrogram = x.memory.spectrogram;
  visit(x.policy), visit(x.memory.interval_tokens);
  visit(selection.mode), visit(selection.budget.unit), visit(selection.budget.value), visit(selection.sinks),
      visit(selection.recent);
  visit(spectrogram.fft_size), visit(spectrogram.hop), visit(spectrogram.decay);
}

struct Writer {
  ByteWriter to;
  template <class T>
  void operator()(const T& value) {
    if constexpr (std::is_same_v<T, Job::Part>) {
      part(*this, value);
    } else if constexpr (std::is_same_v<T, std::string>) {
      to.text(value);
    } else if constexpr (std::is_same_v<T, bool>) {
      to.number<std::uint8_t>(value ? 1 : 0);
    } else if constexpr (std::is_enum_v<T>) {
      to.number(static_cast<std::int32_t>(value));
    } else {
      to.number(value);
    }
  }
  template <class T>
  void operator()(const std::vector<T>& values) {
    to.number<std::uint64_t>(values.size());
    if constexpr (std::is_arithmetic_v<T>) {
      to.numbers(values);
    } else {
      for (const T& value : values) (*this)(value);
    }
  }
};

struct Reader {
  ByteReader from;
  template <class T>
  void operator()(T& value) {
    if constexpr (std::is_same_v<T, Job::Part>) {
      part(*this, value);
    } else if constexpr (std::is_same_v<T, std::string>) {
      value = from.text();
    } else if constexpr (std::is_same_v<T, bool>) {
      value = from.number<std::uint8_t>() != 0;
    } else if constexpr (std::is_enum_v<T>) {
      value = static_cast<T>(from.number<std::int32_t>());
    } else {
      value = from.number<T>();
    }
  }
  template <class T>
  void operator()(std::vector<T>& values) {
    const auto count = from.number<std::uint64_t>();
    if constexpr (std::is_arithmetic_v<T>) {
      values = from.numbers<T>(count);
    } else {
      if (count > from.left()) throw std::runtime_error("more parts than bytes");
      values.resize(count);
      for (T& value : values) (*this)(value);
    }
  }
};

template <class Visit, class T>
void fields(Visit& visit, T& x) {
  using Type = std::remove_const_t<T>;
  if constexpr (std::is_same_v<Type, Hello>) {
    visit(x.identity), visit(x.machine), visit(x.workers);
  } else if constexpr (std::is_same_v<Type, Shape>) {
    visit(x.id), visit(x.kind), visit(x.settings);
  } else if constexpr (std::is_same_v<Type, Parameters>) {
    visit(x.id), visit(x.shape), visit(x.values);
  } else if constexpr (std::is_same_v<Type, PromptMessage>) {
    auto& sample = x.prompt.sample;
    visit(x.id), visit(x.task), visit(x.prompt.context), visit(x.prompt.question), visit(x.prompt.answer);
    visit(sample.id), visit(sample.task), visit(sample.context), visit(sample.question), visit(sample.answer_prefix);
    visit(sample.answers), visit(sample.metric), visit(sample.choices), visit(sample.answer_tokens), visit(sample.needle_offset);
    std::vector<std::uint64_t> places;
    for (const auto& place : sample.evidence) places.insert(places.end(), {place.offset, place.bytes});
    visit(places);
    if constexpr (!std::is_const_v<T>) {
      for (std::size_t i = 0; i + 1 < places.size(); i += 2) sample.evidence.push_back({places[i], places[i + 1]});
    }
  } else if constexpr (std::is_same_v<Type, Job>) {
    visit(x.number), visit(x.prompt), visit(x.parts);
  } else if constexpr (std::is_same_v<Type, Measured>) {
    visit(x.number), visit(x.values), visit(x.seconds);
  } else if constexpr (std::is_same_v<Type, Failed>) {
    visit(x.wrong_usage), visit(x.interrupted), visit(x.what);
  } else if constexpr (std::is_same_v<Type, Stop>) {
    visit(x.for_good);
  } else {
    static_assert(std::is_empty_v<Type>);
  }
}

template <std::size_t... Kinds>
Any make(std::size_t kind, std::index_sequence<Kinds...>) {
  Any message;
  ((kind == Kinds ? void(message.emplace<Kinds>()) : void()), ...);
  return message;
}

}  // namespace

std::vector<std::byte> write(const Any& message) {
  const auto put = [&](Writer& writer) {
    writer(kVersion);
    writer(static_cast<std::uint8_t>(message.index()));
    std::visit([&](const auto& content) { fields(writer, content); }, message);
  };
  Writer counting{};
  put(counting);
  std::vector<std::byte> bytes(counting.to.count());
  Writer writer{ByteWriter(bytes)};
  put(writer);
  return bytes;
}

Any read(std::span<const std::byte> bytes) {
  try {
    Reader reader{ByteReader(bytes)};
    const auto version = reader.from.number<std::uint8_t>();
    const auto kind = reader.from.number<std::uint8_t>();
    if (version != kVersion || kind >= std::variant_size_v<Any>) throw std::runtime_error("of another version");
    Any message = make(kind, std::make_index_sequence<std::variant_size_v<Any>>());
    std::visit([&](auto& content) { fields(reader, content); }, message);
    if (reader.from.left() > 0) throw std::runtime_error("longer than its content");
    return message;
  } catch (const std::exception&) {
    throw std::runtime_error(
        "message between ranks: must be one of this version, is something else; start the same namm on all ranks");
  }
}

}  // namespace namm::evolve::messages
