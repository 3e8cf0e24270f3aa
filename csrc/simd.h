// One source, several instruction sets: SQE_SIMD compiles a function for AVX2 and AVX-512 beside the baseline and lets the
// loader choose by the machine. Elsewhere (other compilers, other machines) the function is compiled once, for the baseline.
// There (clang, musl, which has no ifunc, and ARM, which gets NEON) it takes three to four times as long.
// The bits are the same on each: the build forbids fusing a product and a sum (-ffp-contract=off).
#pragma once

#include <cstdlib>  // which defines __GLIBC__

#if defined(SQE_SIMD)
// as a test has it
#elif defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define SQE_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SQE_SIMD
#endif
