#pragma once

/// Compiles a function several times, for the baseline and for wider vectors, and picks one when the program starts. The code is
/// plain C++ that the compiler vectorises; the wider versions contract products and sums to fused operations.
/// Off under sanitizers, whose runtime is not ready when the choice is made.
#if defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define NAMM_CLONES __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define NAMM_CLONES
#endif
