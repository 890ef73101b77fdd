#include "namm/cache_usage.hpp"

namespace namm {

double CacheUsage::logical_saving() const {
  return entries_full > 0 ? 1 - static_cast<double>(entries) / static_cast<double>(entries_full) : 0;
}

double CacheUsage::physical_saving() const {
  return kv_bytes_full > 0 ? 1 - static_cast<double>(kv_bytes + statistics_bytes) / static_cast<double>(kv_bytes_full) : 0;
}

}  // namespace namm
