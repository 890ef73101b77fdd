#include "adapters/llama_cpp/store/page_region.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace namm::llama {
namespace {

std::size_t page_bytes() {
  static const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return page;
}

std::size_t whole_pages(std::size_t bytes) {
  return (bytes + page_bytes() - 1) / page_bytes() * page_bytes();
}

std::size_t mappings_of_process() {
  std::ifstream maps("/proc/self/maps");
  return static_cast<std::size_t>(std::count(std::istreambuf_iterator<char>(maps), {}, '\n'));
}

std::size_t limit_of_mappings() {
  std::size_t limit = 0;
  std::ifstream("/proc/sys/vm/max_map_count") >> limit;
  return limit;
}

}  // namespace

std::string memory_refused(std::size_t bytes, std::size_t mappings, std::size_t limit) {
  std::string out = "KV cache: the system must give " + std::to_string(bytes) + " bytes of memory, refused";
  if (limit > 0 && mappings + 16 >= limit)
    return out + "; the process has " + std::to_string(mappings) + " mappings of at most " + std::to_string(limit) +
           "; raise the limit (sysctl -w vm.max_map_count=" + std::to_string(4 * limit) + "), or use fewer sequences";
  return out + "; use a lower --budget, fewer sequences, or a machine or limit (ulimit -v) with more";
}

PageRegion::~PageRegion() {
  if (base_) munmap(base_, room_ * mapped_buffers_);
}

std::size_t PageRegion::add() {
  used_.push_back(0);
  return used_.size() - 1;
}

void PageRegion::resize(std::size_t buffer, std::size_t bytes) {
  const std::size_t wanted = whole_pages(bytes);
  std::size_t& used = used_[buffer];
  if (wanted > room_)
    move_to(std::max(wanted, whole_pages(room_ + room_ / 2)));
  else if (wanted > 0 && buffer >= mapped_buffers_)
    move_to(room_);
  if (wanted < used) madvise(base_ + buffer * room_ + wanted, used - wanted, MADV_DONTNEED);
  used = wanted;
}

void PageRegion::move_to(std::size_t room) {
  const std::size_t bytes = room * used_.size();
  void* const fresh = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (fresh == MAP_FAILED) throw std::runtime_error(memory_refused(bytes, mappings_of_process(), limit_of_mappings()));
  madvise(fresh, bytes, MADV_NOHUGEPAGE);  // one huge page would fill room that is not used
  auto* const to = static_cast<std::byte*>(fresh);
  for (std::size_t b = 0; b < mapped_buffers_; ++b) {
    if (used_[b] == 0) continue;
    std::memcpy(to + b * room, base_ + b * room_, used_[b]);
    madvise(base_ + b * room_, used_[b], MADV_DONTNEED);  // not all of them twice at a time
  }
  if (base_) munmap(base_, room_ * mapped_buffers_);
  base_ = to;
  room_ = room;
  mapped_buffers_ = used_.size();
}

}  // namespace namm::llama
