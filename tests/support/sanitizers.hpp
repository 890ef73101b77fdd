#pragma once
// NAMM_ASAN and NAMM_TSAN where the tests are built with these sanitizers, of which GCC tells by macros and Clang by features.

#if defined(__SANITIZE_ADDRESS__)
#define NAMM_ASAN
#elif defined(__SANITIZE_THREAD__)
#define NAMM_TSAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NAMM_ASAN
#elif __has_feature(thread_sanitizer)
#define NAMM_TSAN
#endif
#endif
