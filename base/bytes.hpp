#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace namm {

/// Numbers one behind the other, in the machine's own order. Without a target, and behind the end of it, bytes are only counted:
/// so the size of what will be written is known from the same code.
class ByteWriter {
 public:
  ByteWriter() = default;
  explicit ByteWriter(std::span<std::byte> to) : to_(to) {}

  template <class T>
  void number(T value) {
    numbers(std::span<const T>(&value, 1));
  }
  template <class T>
  void numbers(std::span<const T> values) {
    static_assert(std::is_arithmetic_v<T> || std::is_same_v<T, std::byte>);
    if (!values.empty() && count_ <= to_.size() && values.size_bytes() <= to_.size() - count_)
      std::memcpy(to_.data() + count_, values.data(), values.size_bytes());
    count_ += values.size_bytes();
  }
  template <class T>
  void numbers(const std::vector<T>& values) {
    numbers(std::span<const T>(values));
  }
  void text(const std::string& value) {
    number<std::uint64_t>(value.size());
    numbers(std::span<const char>(value));
  }
  std::size_t count() const { return count_; }
  /// False if bytes are only counted.
  bool target() const { return !to_.empty(); }
  /// True if everything was written and not only counted.
  bool complete() const { return count_ <= to_.size(); }

 private:
  std::span<std::byte> to_;
  std::size_t count_ = 0;
};

/// Reads the same back from bytes that anybody may have written: never beyond their end, and nothing is reserved for numbers that
/// are not there. Throws std::runtime_error.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> from) : from_(from) {}

  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(1, sizeof(T)).data(), sizeof(T));
    return value;
  }
  /// A number that must lie between `least` and `most`; `what` is the subject of the error.
  template <class T>
  T number(const char* what, T least, T most) {
    const T value = number<T>();
    if (value < least || value > most)
      throw std::runtime_error(std::string("saved state: ")
                                   .append(what)
                                   .append(" must be from ")
                                   .append(std::to_string(least))
                                   .append(" to ")
                                   .append(std::to_string(most))
                                   .append(", is ")
                                   .append(std::to_string(value))
                                   .append("; the file is damaged, save it again"));
    return value;
  }
  template <class T>
  std::vector<T> numbers(std::size_t count) {
    const auto bytes = take(count, sizeof(T));
    std::vector<T> out(count);
    if (count > 0) std::memcpy(out.data(), bytes.data(), bytes.size());
    return out;
  }
  std::string text() {
    const auto bytes = take(number<std::uint64_t>(), 1);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  /// The next `count` things of `size` bytes.
  std::span<const std::byte> take(std::size_t count, std::size_t size) {
    if (size == 0 || count > left() / size)
      throw std::runtime_error(std::string("saved state: must be whole, ends after ")
                                   .append(std::to_string(from_.size()))
                                   .append(" bytes; the file is damaged, save it again"));
    const auto out = from_.subspan(at_, count * size);
    at_ += count * size;
    return out;
  }
  std::size_t left() const { return from_.size() - at_; }

 private:
  std::span<const std::byte> from_;
  std::size_t at_ = 0;
};

}  // namespace namm
