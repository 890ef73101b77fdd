#include "adapters/llama_cpp/store/page_buffer.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <new>

namespace namm::llama {

PageBuffer::~PageBuffer() {
  if (data_) munmap(data_, mapped_);
}

void PageBuffer::resize(std::size_t bytes) {
  static const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t wanted = (bytes + page - 1) / page * page;
  if (wanted == mapped_) return;
  if (wanted == 0) {
    munmap(data_, mapped_);
    data_ = nullptr;
  } else if (!data_) {
    void* const fresh = mmap(nullptr, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fresh == MAP_FAILED) throw std::bad_alloc();
    data_ = static_cast<std::byte*>(fresh);
  } else {
    void* const moved = mremap(data_, mapped_, wanted, MREMAP_MAYMOVE);
    if (moved == MAP_FAILED) {
      if (wanted < mapped_) return;  // no room for another mapping: nothing is freed, nothing is lost
      throw std::bad_alloc();
    }
    data_ = static_cast<std::byte*>(moved);
  }
  mapped_ = wanted;
}

}  // namespace namm::llama
