#pragma once
// NAMM_ASAN and NAMM_TSAN where the tests are built with these sanitizers, of which GCC tells by macros and Clang by features.

#ifndef __has_feature
#define __has_feature(name) 0
#define NAMM_NO_FEATURES
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define NAMM_ASAN
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define NAMM_TSAN
#endif
#ifdef NAMM_NO_FEATURES
#undef __has_feature
#undef NAMM_NO_FEATURES
#endif
