#include "base/version.hpp"

#include "base/commit.hpp"
#include "base/numbers.hpp"

namespace namm {

const char* version() {
  return NAMM_VERSION;
}

const char* commit() {
  return NAMM_COMMIT;
}

const char* llama_version() {
  return NAMM_LLAMA_VERSION;
}

}  // namespace namm
