#pragma once
#include "adapters/llama_cpp/context/followed_context.hpp"
#include "namm/llama.hpp"

namespace namm::llama {

/// What an Attached is made of, for tests that look inside.
struct AttachedInternals {
  static CacheStore& store(const Attached& attached);
  static FollowedContext& followed(const Attached& attached);
};

}  // namespace namm::llama
