#pragma once
// What a CallbackMemory is made of: shared by its source files, not for its users.
#include <vector>

#include "adapters/llama_callback/callback_memory.hpp"
#include "adapters/llama_callback/stock_head.hpp"

namespace namm::llama {

struct CallbackMemory::Layer {
  StockLayer shape;
  std::vector<HeadStatistics> heads;
  WrittenRows written;  // of this ubatch, until they are appended
  bool keys_there = false, values_there = false, appended = true;
};

}  // namespace namm::llama
