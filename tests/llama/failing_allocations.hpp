#pragma once

#include "tests/support/sanitizers.hpp"

namespace namm::test {

#if defined(NAMM_ASAN) || defined(NAMM_TSAN)
inline constexpr bool kAllocationsFail = false;  // sanitizers bring an operator new of their own
#else
inline constexpr bool kAllocationsFail = true;
#endif

/// From now on the allocation `number` (0: the next) that code of this program asks for on this thread is refused, once:
/// std::bad_alloc, or a mapping for keys and values that the system does not give. Libraries, llama.cpp among them, get theirs.
void refuse_allocation(int number);
/// None is refused any more. Returns how many were asked for since.
int allow_allocations();

}  // namespace namm::test
