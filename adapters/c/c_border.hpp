#pragma once
#include <exception>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>

#include "adapters/c/policy_sequence.hpp"
#include "namm/namm.h"

/// Handles: the object and the lock that calls on it wait for.
struct namm_policy {
  namm::CachePolicy policy;
  std::string name, store;  // C strings for namm_policy_name() and namm_policy_store()
  mutable std::mutex mutex;
};
struct namm_sequence {
  namm::PolicySequence sequence;
  mutable std::mutex mutex;
};

namespace namm::c_border {

/// Puts down the sentence for namm_last_error() and gives the code back. Never throws.
namm_code fail(namm_code code, const char* sentence) noexcept;
const char* last_sentence() noexcept;

/// Calls work(); what it throws becomes a code and a sentence.
template <class Work>
namm_code guarded(const Work& work) noexcept {
  try {
    work();
    return NAMM_OK;
  } catch (const std::bad_alloc&) {
    return fail(NAMM_OUT_OF_MEMORY, "memory: must be enough, is not");
  } catch (const std::invalid_argument& error) {
    return fail(NAMM_INVALID_ARGUMENT, error.what());
  } catch (const std::runtime_error& error) {
    return fail(NAMM_FAILED, error.what());
  } catch (const std::exception& error) {
    return fail(NAMM_INTERNAL, error.what());
  } catch (...) {
    return fail(NAMM_INTERNAL, "unknown error");
  }
}

/// The same under the lock of a handle. A null handle is refused.
template <class Handle, class Work>
namm_code locked(Handle* handle, const Work& work) noexcept {
  if (!handle) return fail(NAMM_INVALID_ARGUMENT, "handle: must not be null, is null");
  return guarded([&] {
    const std::lock_guard lock(handle->mutex);
    work(*handle);
  });
}

/// Throws std::invalid_argument if it is null.
template <class T>
T& require(T* pointer, const char* what) {
  if (!pointer) throw std::invalid_argument(std::string(what).append(": must not be null, is null"));
  return *pointer;
}

}  // namespace namm::c_border
