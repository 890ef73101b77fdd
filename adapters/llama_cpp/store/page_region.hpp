#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace namm::llama {

/// One mapping of anonymous memory for many buffers, each of which grows and shrinks by whole pages: a process may have 65,530
/// mappings (vm.max_map_count) and a cache has two buffers for each sequence, layer and head.
///
///   | buffer 0  ======........ | buffer 1  ====.......... | ...      = touched   . room to grow: address space, no memory
///
/// Buffers have equal room, which grows by half where one of them needs more; then all of them move. What is given up is back
/// with the system at once. Growing is for one thread at a time; different buffers may shrink side by side.
class PageRegion {
 public:
  PageRegion() = default;
  ~PageRegion();
  PageRegion(const PageRegion&) = delete;
  PageRegion& operator=(const PageRegion&) = delete;

  /// One more buffer, empty. Returns its number.
  std::size_t add();
  /// Makes at least `bytes` bytes of a buffer usable, new ones zero, and gives whole pages behind them back. Throws
  /// std::runtime_error that says what the system lacks, never where it shrinks.
  void resize(std::size_t buffer, std::size_t bytes);
  std::byte* data(std::size_t buffer) { return used_[buffer] ? base_ + buffer * room_ : nullptr; }
  /// Bytes in use, in whole pages: what it can cost the process at most.
  std::size_t used(std::size_t buffer) const { return used_[buffer]; }

 private:
  void move_to(std::size_t room);
  std::byte* base_ = nullptr;
  std::size_t room_ = 0, mapped_buffers_ = 0;
  std::vector<std::size_t> used_;
};

/// A buffer of a region, which lives as long as one of its buffers does.
class RegionBuffer {
 public:
  explicit RegionBuffer(std::shared_ptr<PageRegion> region) : region_(std::move(region)), number_(region_->add()) {}
  RegionBuffer(RegionBuffer&& other) noexcept : region_(std::move(other.region_)), number_(other.number_) {}
  RegionBuffer& operator=(RegionBuffer&& other) noexcept {
    std::swap(region_, other.region_);
    std::swap(number_, other.number_);
    return *this;
  }
  ~RegionBuffer() {
    if (region_) region_->resize(number_, 0);
  }
  void resize(std::size_t bytes) { region_->resize(number_, bytes); }
  std::byte* data() { return region_->data(number_); }
  const std::byte* data() const { return region_->data(number_); }
  std::size_t mapped() const { return region_->used(number_); }

 private:
  std::shared_ptr<PageRegion> region_;
  std::size_t number_;
};

/// What to tell a user when the system gives no memory: `mappings` that the process has, of at most `limit` (0: not known).
std::string memory_refused(std::size_t bytes, std::size_t mappings, std::size_t limit);

}  // namespace namm::llama
