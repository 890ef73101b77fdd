#pragma once
#include <cstddef>
#include <utility>

namespace namm::llama {

/// Anonymous memory that grows and shrinks by whole pages (Linux mremap): what is given up is back with the system at once, which
/// a heap does not promise. New bytes are zero. Contents keep their offset, not their address.
class PageBuffer {
 public:
  PageBuffer() = default;
  PageBuffer(PageBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), mapped_(std::exchange(other.mapped_, 0)) {}
  PageBuffer& operator=(PageBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(mapped_, other.mapped_);
    return *this;
  }
  ~PageBuffer();

  /// Makes at least `bytes` bytes usable and gives whole pages behind them back. Throws std::bad_alloc, never where it shrinks.
  void resize(std::size_t bytes);
  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  /// Bytes mapped: what it can cost the process at most.
  std::size_t mapped() const { return mapped_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t mapped_ = 0;
};

}  // namespace namm::llama
