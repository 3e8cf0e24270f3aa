#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

#include "kl/fused_kl.h"
#include "simd.h"

namespace sqe::cpu {
namespace {

// Sums run in this many independent lanes: two AVX-512 registers of floats, so that one addition need not wait for the last.
constexpr std::size_t kLanes = 32;
// Values that are folded in the time that starting and joining a thread takes.
constexpr std::size_t kWorthAThread = 1 << 14;

// e^x for x ≤ 0 or a little above, in operations that become SIMD. x = n·ln 2 + r, |r| ≤ ½ ln 2; the Taylor series to r⁷
// leaves 5e-9.
SQE_INLINE float exponential(float x) {
    constexpr float kLog2E = 1.44269504F, kLn2High = 0.693359375F, kLn2Low = -2.12194440e-4F;
    constexpr float kRound = 12582912.0F;  // 1.5·2^23: adding it leaves an integer in the low bits
    x = x < kLeastExponent ? kLeastExponent : x;  // NaN stays
    const float shifted = x * kLog2E + kRound;
    const float n = shifted - kRound;
    const float r = (x - n * kLn2High) - n * kLn2Low;
    float series = 1.0F / 5040;
    series = series * r + 1.0F / 720;
    series = series * r + 1.0F / 120;
    series = series * r + 1.0F / 24;
    series = series * r + 1.0F / 6;
    series = series * r + 0.5F;
    series = series * r + 1.0F;
    series = series * r + 1.0F;
    const std::uint32_t exponent = (std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(kRound)) << 23;
    return series * std::bit_cast<float>(exponent + std::bit_cast<std::uint32_t>(1.0F));
}

inline double exponential(double x) { return std::exp(x); }

template <typename Value>
SQE_INLINE Value maximum(const Value* x, std::size_t count) {  // count > 0
    Value lanes[kLanes];
    std::fill(lanes, lanes + kLanes, x[0]);
    std::size_t i = 0;
    for (; i + kLanes <= count; i += kLanes)
        for (std::size_t k = 0; k < kLanes; ++k) lanes[k] = x[i + k] > lanes[k] ? x[i + k] : lanes[k];
    for (; i < count; ++i) lanes[0] = x[i] > lanes[0] ? x[i] : lanes[0];
    return *std::max_element(lanes, lanes + kLanes);
}

template <typename Value>
SQE_INLINE double total(const Value (&lanes)[kLanes]) {
    double sum = 0;
    for (const Value lane : lanes) sum += lane;
    return sum;
}

// Brings a sum to a new maximum. Where there was nothing yet, both may be −∞.
inline double rescaled(double sum, double old_max, double new_max) {
    return old_max == new_max ? sum : sum * std::exp(old_max - new_max);
}

template <typename Value>
SQE_INLINE void accumulate_one(const Value* x, std::size_t count, double* sums) {
    const double max = std::max(sums[kMax], static_cast<double>(maximum(x, count)));
    const auto base = base_of<Value>(max);
    Value lanes[kLanes] = {};
    std::size_t i = 0;
    for (; i + kLanes <= count; i += kLanes)
        for (std::size_t k = 0; k < kLanes; ++k) lanes[k] += exponential(x[i + k] - base);
    for (; i < count; ++i) lanes[0] += exponential(x[i] - base);
    sums[kSum] = rescaled(sums[kSum], sums[kMax], max) + total(lanes);
    sums[kMax] = max;
}

// Forward weighs by the teacher, and its cross term is Σ e^t·(t − s); reverse Σ e^s·(s − t).
template <Direction kDirection, typename Value>
SQE_INLINE void accumulate_pair(const Value* s, const Value* t, std::size_t count, Value inverse, double* sums) {
    constexpr bool kForward = kDirection == Direction::kForward;
    const double student_max = std::max(sums[kStudentMax], static_cast<double>(maximum(s, count) * inverse));
    const double teacher_max = std::max(sums[kTeacherMax], static_cast<double>(maximum(t, count) * inverse));
    const auto student_base = base_of<Value>(student_max), teacher_base = base_of<Value>(teacher_max);
    Value of_student[kLanes] = {}, of_teacher[kLanes] = {}, cross[kLanes] = {};
    const auto step = [&](std::size_t at, std::size_t lane) __attribute__((always_inline)) {
        // What the teacher rules out (−∞) adds nothing to the forward direction, rather than 0·∞.
        const Value own = s[at] * inverse, given = t[at] * inverse;
        const Value other = kForward && given < kRuledOut ? kRuledOut : given;
        const Value e_own = exponential(own - student_base), e_other = exponential(other - teacher_base);
        of_student[lane] += e_own;
        of_teacher[lane] += e_other;
        cross[lane] += kForward ? e_other * (other - own) : e_own * (own - other);
    };
    std::size_t i = 0;
    for (; i + kLanes <= count; i += kLanes)
        for (std::size_t k = 0; k < kLanes; ++k) step(i + k, k);
    for (; i < count; ++i) step(i, 0);
    constexpr PairSum kWeights = kForward ? kTeacherMax : kStudentMax;
    sums[kCross] = rescaled(sums[kCross], sums[kWeights], kForward ? teacher_max : student_max) + total(cross);
    sums[kStudentSum] = rescaled(sums[kStudentSum], sums[kStudentMax], student_max) + total(of_student);
    sums[kTeacherSum] = rescaled(sums[kTeacherSum], sums[kTeacherMax], teacher_max) + total(of_teacher);
    sums[kStudentMax] = student_max;
    sums[kTeacherMax] = teacher_max;
}

template <Direction kDirection, typename Value>
SQE_INLINE void differentiate_pair(Value* __restrict s, const Value* __restrict t, std::size_t count, double temperature,
                                const double* scales) {
    const auto inverse = static_cast<Value>(1 / temperature);
    const auto student_lse = static_cast<Value>(scales[kStudentLse]), teacher_lse = static_cast<Value>(scales[kTeacherLse]);
    const auto full_lse = static_cast<Value>(scales[kFullLse]), divergence = static_cast<Value>(scales[kDivergence]);
    const auto kl = static_cast<Value>(scales[kKlScale] / temperature), logprob = static_cast<Value>(scales[kLogprobScale]);
    // At temperature 1, and with one vocabulary, both softmaxes of the student are one.
    const bool same = temperature == 1 && scales[kFullLse] == scales[kStudentLse];
    const auto log_ratio = [&](std::size_t i) __attribute__((always_inline)) {
        return (s[i] * inverse - student_lse) - (t[i] * inverse - teacher_lse);
    };
    const auto of_kl = [&](Value p, std::size_t i) __attribute__((always_inline)) {
        return kDirection == Direction::kForward ? kl * (p - exponential(t[i] * inverse - teacher_lse))
                                                 : kl * p * (log_ratio(i) - divergence);
    };
    if (same || logprob == 0) {
        for (std::size_t i = 0; i < count; ++i) {
            const Value p = exponential(s[i] * inverse - student_lse);
            s[i] = of_kl(p, i) - logprob * p;
        }
    } else {
        for (std::size_t i = 0; i < count; ++i) {
            const Value p = exponential(s[i] * inverse - student_lse);
            s[i] = of_kl(p, i) - logprob * exponential(s[i] - full_lse);
        }
    }
}

template <typename Value>
SQE_INLINE void differentiate_one(Value* x, std::size_t count, const double* scales) {
    const auto lse = static_cast<Value>(scales[kLse]), scale = static_cast<Value>(scales[kScale]);
    for (std::size_t i = 0; i < count; ++i) x[i] = scale * exponential(x[i] - lse);
}

template <Direction kDirection>
using In = std::integral_constant<Direction, kDirection>;

// What stands above, of a row, compiled for every instruction set. A template cannot be cloned: hence the macros.
#define SQE_ONE(Value)                                                                                   \
    SQE_SIMD void accumulate_one_row(const Value* x, std::size_t count, double* sums) {                  \
        accumulate_one(x, count, sums);                                                                  \
    }                                                                                                    \
    SQE_SIMD void differentiate_one_row(Value* x, std::size_t count, const double* scales) {             \
        differentiate_one(x, count, scales);                                                             \
    }
#define SQE_PAIR(Value, direction)                                                                       \
    SQE_SIMD void accumulate_pair_row(In<direction>, const Value* s, const Value* t, std::size_t count,  \
                                      Value inverse, double* sums) {                                     \
        accumulate_pair<direction>(s, t, count, inverse, sums);                                          \
    }                                                                                                    \
    SQE_SIMD void differentiate_pair_row(In<direction>, Value* s, const Value* t, std::size_t count,     \
                                         double temperature, const double* scales) {                     \
        differentiate_pair<direction>(s, t, count, temperature, scales);                                 \
    }

SQE_ONE(float)
SQE_ONE(double)
SQE_PAIR(float, Direction::kForward)
SQE_PAIR(float, Direction::kReverse)
SQE_PAIR(double, Direction::kForward)
SQE_PAIR(double, Direction::kReverse)
#undef SQE_ONE
#undef SQE_PAIR

// Calls work(In<direction>).
template <typename Work>
void by_direction(Direction direction, const Work& work) {
    if (direction == Direction::kForward) {
        work(In<Direction::kForward>{});
    } else {
        work(In<Direction::kReverse>{});
    }
}

// Calls work(row) for every row, on up to `threads` threads: no more than the root of what there is to do for each, where
// starting another would take as long as it saves. No columns, no work.
template <typename Work>
void for_rows(std::size_t rows, std::size_t columns, int threads, const Work& work) {
    if (columns == 0) return;
    const auto worth = static_cast<std::size_t>(std::sqrt(static_cast<double>(rows * columns / kWorthAThread)));
    const std::size_t count =
        std::min({static_cast<std::size_t>(std::max(1, threads)), rows, std::max<std::size_t>(1, worth)});
    const auto part = [&](std::size_t k) {
        for (std::size_t row = rows * k / count; row < rows * (k + 1) / count; ++row) work(row);
    };
    std::vector<std::jthread> others;
    for (std::size_t k = 1; k < count; ++k) others.emplace_back(part, k);
    if (count) part(0);
}

}  // namespace

template <typename Value>
void accumulate_pair(LogitTile<const Value> student, LogitTile<const Value> teacher, double temperature, Direction direction,
                     double* sums, int threads) {
    const auto inverse = static_cast<Value>(1 / temperature);
    by_direction(direction, [&](auto in) {
        for_rows(student.rows, student.columns, threads, [&](std::size_t row) {
            accumulate_pair_row(in, student.values + row * student.stride, teacher.values + row * teacher.stride,
                                student.columns, inverse, sums + row * kPairSums);
        });
    });
}

template <typename Value>
void accumulate_one(LogitTile<const Value> logits, double* sums, int threads) {
    for_rows(logits.rows, logits.columns, threads, [&](std::size_t row) {
        accumulate_one_row(logits.values + row * logits.stride, logits.columns, sums + row * kOneSums);
    });
}

template <typename Value>
void differentiate_pair(LogitTile<Value> student, LogitTile<const Value> teacher, double temperature, Direction direction,
                        const double* scales, int threads) {
    by_direction(direction, [&](auto in) {
        for_rows(student.rows, student.columns, threads, [&](std::size_t row) {
            differentiate_pair_row(in, student.values + row * student.stride, teacher.values + row * teacher.stride,
                                   student.columns, temperature, scales + row * kPairScales);
        });
    });
}

template <typename Value>
void differentiate_one(LogitTile<Value> logits, const double* scales, int threads) {
    for_rows(logits.rows, logits.columns, threads, [&](std::size_t row) {
        differentiate_one_row(logits.values + row * logits.stride, logits.columns, scales + row * kOneScales);
    });
}

#define SQE_INSTANTIATE(Value)                                                                                              \
    template void accumulate_pair(LogitTile<const Value>, LogitTile<const Value>, double, Direction, double*, int);         \
    template void accumulate_one(LogitTile<const Value>, double*, int);                                                     \
    template void differentiate_pair(LogitTile<Value>, LogitTile<const Value>, double, Direction, const double*, int);      \
    template void differentiate_one(LogitTile<Value>, const double*, int);

SQE_INSTANTIATE(float)
SQE_INSTANTIATE(double)

}  // namespace sqe::cpu
