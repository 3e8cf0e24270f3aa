// The kernels of fused_kl.cu behind plain C names, with the arguments that sqe_fast._native gives them and a place for
// an error's text. `seed` draws the order of threads.
#include <cstddef>
#include <cstring>
#include <stdexcept>

#include <cuda_runtime.h>

#include "kl/fused_kl.h"

namespace {

constexpr std::size_t kErrorBytes = 256;

template <typename Work>
void report(char* error, const Work& work) {
    error[0] = '\0';
    try {
        work();
    } catch (const std::exception& found) {
        std::strncat(error, found.what(), kErrorBytes - 1);
    }
}

}  // namespace

extern "C" {

#ifndef CUDART_VERSION  // that of CUDA's own header
void seed(unsigned value) { shim::state = value; }
#endif

void kl_cuda_accumulate_pair(const float* student, const float* teacher, std::size_t rows, std::size_t columns,
                             std::size_t student_stride, std::size_t teacher_stride, double temperature,
                             const char* direction, double* sums, void* stream, char* error) {
    report(error, [&] {
        sqe::cuda::accumulate_pair({student, rows, columns, student_stride}, {teacher, rows, columns, teacher_stride},
                                   temperature, sqe::direction_of(direction), sums, stream);
    });
}

void kl_cuda_accumulate_one(const float* logits, std::size_t rows, std::size_t columns, std::size_t stride, double* sums,
                            void* stream, char* error) {
    report(error, [&] { sqe::cuda::accumulate_one({logits, rows, columns, stride}, sums, stream); });
}

void kl_cuda_differentiate_pair(float* student, const float* teacher, std::size_t rows, std::size_t columns,
                                std::size_t student_stride, std::size_t teacher_stride, double temperature,
                                const char* direction, const double* scales, void* stream, char* error) {
    report(error, [&] {
        sqe::cuda::differentiate_pair({student, rows, columns, student_stride}, {teacher, rows, columns, teacher_stride},
                                      temperature, sqe::direction_of(direction), scales, stream);
    });
}

void kl_cuda_differentiate_one(float* logits, std::size_t rows, std::size_t columns, std::size_t stride,
                               const double* scales, void* stream, char* error) {
    report(error, [&] { sqe::cuda::differentiate_one({logits, rows, columns, stride}, scales, stream); });
}

}  // extern "C"
