// The element-wise half of the fused linear KL on a GPU (fused_kl.h): what fused_kl.cpp does, a block of threads a row.
// Elements are float32 throughout; only what a row keeps from tile to tile is double.
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include "kl/fused_kl.h"

namespace sqe::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr unsigned kWarp = 32;
constexpr unsigned kWarps = kThreads / kWarp;
constexpr unsigned kWholeWarp = 0xFFFFFFFFU;

// A weight is never 0, which an infinite difference would turn into NaN. NaN stays.
__device__ float exponential(float x) { return expf(x < kLeastExponent ? kLeastExponent : x); }
__device__ double exponential(double x) { return exp(x); }

template <typename Value>
__device__ Value larger(Value a, Value b) {
    return a > b ? a : b;
}

// By what a sum is multiplied when its maximum rises. Where there was nothing yet, both may be −∞.
template <typename Value>
__device__ Value rescale(Value old_max, Value max) {
    return old_max == max ? Value{1} : exponential(old_max - max);
}

// --- a row in memory --------------------------------------------------------------------------------------------------

// Values that a thread handles at a time: one, or four of 16 aligned bytes.
template <int kWidth>
struct Values {
    float at[kWidth];
};

template <int kWidth>
__device__ Values<kWidth> load(const float* from) {
    if constexpr (kWidth == 4) {
        const float4 four = *reinterpret_cast<const float4*>(from);
        return {{four.x, four.y, four.z, four.w}};
    } else {
        return {{*from}};
    }
}

template <int kWidth>
__device__ void store(float* to, const Values<kWidth>& values) {
    if constexpr (kWidth == 4) {
        *reinterpret_cast<float4*>(to) = make_float4(values.at[0], values.at[1], values.at[2], values.at[3]);
    } else {
        *to = values.at[0];
    }
}

__device__ unsigned past_boundary(const float* pointer) {
    return static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(pointer) / sizeof(float) % 4);
}

template <int kWidth>
struct Width {
    static constexpr int kValue = kWidth;
};

// Calls step(Width, index) for this thread's part of a row: four at a time where that is aligned in both tiles, which it is
// for tiles of one layout; one at a time before and after.
template <typename Step>
__device__ void walk(const float* row, const float* other, std::size_t count, const Step& step) {
    const std::size_t to_boundary = (4 - past_boundary(row)) % 4;
    const bool alike = past_boundary(row) == past_boundary(other) && to_boundary <= count;
    const std::size_t head = alike ? to_boundary : count;
    const std::size_t tail = head + (count - head) / 4 * 4;
    for (std::size_t i = head + 4 * threadIdx.x; i < tail; i += 4 * kThreads) step(Width<4>{}, i);
    for (std::size_t k = threadIdx.x; k < head + count - tail; k += kThreads)
        step(Width<1>{}, k < head ? k : k - head + tail);
}

// --- sums -------------------------------------------------------------------------------------------------------------

// What has been summed over some of a row's columns, laid out and initialised as the row's sums. `merge` adds what others
// have; in double it adds to the row's sums.
struct One {
    static constexpr int kFigures = kOneSums;
    float at[kFigures] = {-INFINITY, 0};

    template <typename Value, typename Other>
    __device__ static void merge(Value* into, const Other* from) {
        const Value theirs = from[kMax], max = larger(into[kMax], theirs);
        into[kSum] = into[kSum] * rescale(into[kMax], max) + from[kSum] * rescale(theirs, max);
        into[kMax] = max;
    }

    template <int kWidth>
    __device__ void add(const Values<kWidth>& x) {
        float max = at[kMax];
        for (const float value : x.at) max = larger(value, max);
        at[kSum] *= rescale(at[kMax], max);
        at[kMax] = max;
        const auto base = base_of<float>(max);
        for (const float value : x.at) at[kSum] += exponential(value - base);
    }
};

// Forward weighs by the teacher, and its cross term is Σ e^t·(t − s); reverse Σ e^s·(s − t).
template <Direction kDirection>
struct Pair {
    static constexpr bool kForward = kDirection == Direction::kForward;
    static constexpr int kFigures = kPairSums;
    float at[kFigures] = {-INFINITY, 0, -INFINITY, 0, 0};

    template <typename Value>
    __device__ static void raise(Value* figures, Value student_max, Value teacher_max) {
        const Value student = rescale(figures[kStudentMax], student_max);
        const Value teacher = rescale(figures[kTeacherMax], teacher_max);
        figures[kStudentMax] = student_max;
        figures[kStudentSum] *= student;
        figures[kTeacherMax] = teacher_max;
        figures[kTeacherSum] *= teacher;
        figures[kCross] *= kForward ? teacher : student;
    }

    template <typename Value, typename Other>
    __device__ static void merge(Value* into, const Other* from) {
        Value others[kFigures];
        for (int k = 0; k < kFigures; ++k) others[k] = from[k];
        const Value student_max = larger(into[kStudentMax], others[kStudentMax]);
        const Value teacher_max = larger(into[kTeacherMax], others[kTeacherMax]);
        raise(into, student_max, teacher_max);
        raise(others, student_max, teacher_max);
        for (const int k : {kStudentSum, kTeacherSum, kCross}) into[k] += others[k];
    }

    template <int kWidth>
    __device__ void add(const Values<kWidth>& s, const Values<kWidth>& t, float inverse) {
        float student_max = at[kStudentMax], teacher_max = at[kTeacherMax];
        for (int k = 0; k < kWidth; ++k) {
            student_max = larger(s.at[k] * inverse, student_max);
            teacher_max = larger(t.at[k] * inverse, teacher_max);
        }
        if (student_max != at[kStudentMax] || teacher_max != at[kTeacherMax]) raise(at, student_max, teacher_max);
        const auto student_base = base_of<float>(student_max), teacher_base = base_of<float>(teacher_max);
        for (int k = 0; k < kWidth; ++k) {
            // What the teacher rules out (−∞) adds nothing to the forward direction, rather than 0·∞.
            const float own = s.at[k] * inverse, given = t.at[k] * inverse;
            const float other = kForward && given < kRuledOut ? kRuledOut : given;
            const float e_own = exponential(own - student_base), e_other = exponential(other - teacher_base);
            at[kStudentSum] += e_own;
            at[kTeacherSum] += e_other;
            at[kCross] += kForward ? e_other * (other - own) : e_own * (own - other);
        }
    }
};

// Merges the sums of a warp's threads (of its first `count`, a power of two), for its first thread.
template <typename Sums>
__device__ void reduce_warp(Sums& sums, unsigned count) {
    for (unsigned offset = count / 2; offset > 0; offset /= 2) {
        float others[Sums::kFigures];
        for (int k = 0; k < Sums::kFigures; ++k) others[k] = __shfl_xor_sync(kWholeWarp, sums.at[k], offset);
        Sums::merge(sums.at, others);
    }
}

// Adds the sums of a block's threads to those of its row.
template <typename Sums>
__device__ void reduce_block(Sums& sums, double* of_row) {
    __shared__ float of_warps[kWarps][Sums::kFigures];
    const unsigned warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
    reduce_warp(sums, kWarp);
    if (lane == 0) {
        for (int k = 0; k < Sums::kFigures; ++k) of_warps[warp][k] = sums.at[k];
    }
    __syncthreads();
    if (warp != 0) return;
    for (int k = 0; k < Sums::kFigures; ++k) sums.at[k] = of_warps[lane % kWarps][k];
    reduce_warp(sums, kWarps);
    if (lane == 0) Sums::merge(of_row, sums.at);
}

template <Direction kDirection>
__global__ void __launch_bounds__(kThreads)
    accumulate_pair_row(const float* __restrict__ student, const float* __restrict__ teacher, std::size_t columns,
                        std::size_t student_stride, std::size_t teacher_stride, float inverse, double* sums) {
    const float* s = student + blockIdx.x * student_stride;
    const float* t = teacher + blockIdx.x * teacher_stride;
    Pair<kDirection> own;
    walk(s, t, columns, [&](auto width, std::size_t i) {
        own.add(load<width.kValue>(s + i), load<width.kValue>(t + i), inverse);
    });
    reduce_block(own, sums + blockIdx.x * kPairSums);
}

__global__ void __launch_bounds__(kThreads)
    accumulate_one_row(const float* __restrict__ logits, std::size_t columns, std::size_t stride, double* sums) {
    const float* x = logits + blockIdx.x * stride;
    One own;
    walk(x, x, columns, [&](auto width, std::size_t i) { own.add(load<width.kValue>(x + i)); });
    reduce_block(own, sums + blockIdx.x * kOneSums);
}

// --- gradients --------------------------------------------------------------------------------------------------------

template <Direction kDirection>
__global__ void __launch_bounds__(kThreads)
    differentiate_pair_row(float* __restrict__ student, const float* __restrict__ teacher, std::size_t columns,
                           std::size_t student_stride, std::size_t teacher_stride, float inverse, const double* scales) {
    float* s = student + blockIdx.x * student_stride;
    const float* t = teacher + blockIdx.x * teacher_stride;
    scales += blockIdx.x * kPairScales;
    const auto student_lse = static_cast<float>(scales[kStudentLse]), teacher_lse = static_cast<float>(scales[kTeacherLse]);
    const auto full_lse = static_cast<float>(scales[kFullLse]), divergence = static_cast<float>(scales[kDivergence]);
    const auto kl = static_cast<float>(scales[kKlScale]) * inverse, logprob = static_cast<float>(scales[kLogprobScale]);
    // At temperature 1, and with one vocabulary, both softmaxes of the student are one.
    const bool same = inverse == 1 && scales[kFullLse] == scales[kStudentLse];
    walk(s, t, columns, [&](auto width, std::size_t i) {
        auto own = load<width.kValue>(s + i);
        const auto given = load<width.kValue>(t + i);
        for (int k = 0; k < width.kValue; ++k) {
            const float log_p = own.at[k] * inverse - student_lse, log_q = given.at[k] * inverse - teacher_lse;
            const float p = exponential(log_p);
            const float of_kl = kDirection == Direction::kForward ? kl * (p - exponential(log_q))
                                                                  : kl * p * (log_p - log_q - divergence);
            const float full = same || logprob == 0 ? p : exponential(own.at[k] - full_lse);
            own.at[k] = of_kl - logprob * full;
        }
        store<width.kValue>(s + i, own);
    });
}

__global__ void __launch_bounds__(kThreads)
    differentiate_one_row(float* logits, std::size_t columns, std::size_t stride, const double* scales) {
    float* x = logits + blockIdx.x * stride;
    scales += blockIdx.x * kOneScales;
    const auto lse = static_cast<float>(scales[kLse]), scale = static_cast<float>(scales[kScale]);
    walk(x, x, columns, [&](auto width, std::size_t i) {
        auto values = load<width.kValue>(x + i);
        for (float& value : values.at) value = scale * exponential(value - lse);
        store<width.kValue>(x + i, values);
    });
}

// A block for each row. cudaLaunchKernelEx, unlike <<<>>>, is plain C++, so that any compiler can read this file.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), std::size_t rows, void* stream, Arguments&&... arguments) {
    if (rows == 0) return;
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(static_cast<unsigned>(rows));
    config.blockDim = dim3(kThreads);
    config.stream = static_cast<cudaStream_t>(stream);
    const cudaError_t error = cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...);
    if (error != cudaSuccess)
        throw std::runtime_error(std::string("a kernel of the fused KL was not launched: ") + cudaGetErrorString(error));
}

}  // namespace

void accumulate_pair(LogitTile<const float> student, LogitTile<const float> teacher, double temperature, Direction direction,
                     double* sums, void* stream) {
    const auto kernel = direction == Direction::kForward ? accumulate_pair_row<Direction::kForward>
                                                         : accumulate_pair_row<Direction::kReverse>;
    launch(kernel, student.rows, stream, student.values, teacher.values, student.columns, student.stride, teacher.stride,
           static_cast<float>(1 / temperature), sums);
}

void accumulate_one(LogitTile<const float> logits, double* sums, void* stream) {
    launch(accumulate_one_row, logits.rows, stream, logits.values, logits.columns, logits.stride, sums);
}

void differentiate_pair(LogitTile<float> student, LogitTile<const float> teacher, double temperature, Direction direction,
                        const double* scales, void* stream) {
    const auto kernel = direction == Direction::kForward ? differentiate_pair_row<Direction::kForward>
                                                         : differentiate_pair_row<Direction::kReverse>;
    launch(kernel, student.rows, stream, student.values, teacher.values, student.columns, student.stride, teacher.stride,
           static_cast<float>(1 / temperature), scales);
}

void differentiate_one(LogitTile<float> logits, const double* scales, void* stream) {
    launch(differentiate_one_row, logits.rows, stream, logits.values, logits.columns, logits.stride, scales);
}

}  // namespace sqe::cuda
