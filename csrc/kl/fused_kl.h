// The element-wise half of the fused linear KL (sqe_fast/kernels/kl/fused_kl.py): what happens to a tile of logits between two
// matrix products. A tile holds some tokens (rows) by some vocabulary ids (columns); the whole [tokens, vocabulary] never
// exists. The same operations for CPU and CUDA; this header is all that the two share.
#pragma once

#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <string>

#if defined(__CUDACC__)
#define SQE_INLINE __host__ __device__ inline
#else
#define SQE_INLINE [[gnu::always_inline]] inline
#endif

namespace sqe {

// forward: KL(teacher ‖ student); reverse: KL(student ‖ teacher).
enum class Direction { kForward, kReverse };

// By its name in Python. Throws std::invalid_argument for another.
inline Direction direction_of(const std::string& name) {
    if (name == "forward") return Direction::kForward;
    if (name == "reverse") return Direction::kReverse;
    throw std::invalid_argument("direction must be 'forward' or 'reverse', not '" + name + "'");
}

// What a row has summed over the columns it has seen. With s and t the logits of both, divided by the temperature, and
// w = e^t for the forward, e^s for the reverse direction; all relative to the maxima, so that nothing overflows.
enum PairSum { kStudentMax, kStudentSum, kTeacherMax, kTeacherSum, kCross, kPairSums };  // kCross: Σ w·(own − other)
enum OneSum { kMax, kSum, kOneSums };

// What a row's gradient needs: see `differentiate_pair`.
enum PairScale { kStudentLse, kTeacherLse, kDivergence, kKlScale, kFullLse, kLogprobScale, kPairScales };
enum OneScale { kLse, kScale, kOneScales };

// A tile of logits in memory: `rows` of `columns` values, one `stride` apart.
template <typename Value>
struct LogitTile {
    Value* values;
    std::size_t rows, columns, stride;
};

// Below this a logit is ruled out, and counts as this: −∞ would make 0·∞ of a probability times a difference.
inline constexpr float kRuledOut = -1e9F;

// e^x is no less than this x gives: 1e-38, nothing beside a row's largest term, which is 1. Below, it would be subnormal.
inline constexpr float kLeastExponent = -87.3F;

// What is subtracted from logits: their maximum, or 0 where all so far are ruled out.
template <typename Value, typename Max>
SQE_INLINE Value base_of(Max max) {
    return max == -INFINITY ? Value{0} : static_cast<Value>(max);
}

namespace cpu {

// Adds a tile of both models' logits to sums [rows][kPairSums], which start at {−∞, 0, −∞, 0, 0}.
template <typename Value>
void accumulate_pair(LogitTile<const Value> student, LogitTile<const Value> teacher, double temperature, Direction direction,
                     double* sums, int threads);

// Adds a tile of one model's logits to sums [rows][kOneSums], at temperature 1; they start at {−∞, 0}.
template <typename Value>
void accumulate_one(LogitTile<const Value> logits, double* sums, int threads);

// Overwrites a tile of student logits with the gradient towards them, for scales [rows][kPairScales]:
//   forward  kKlScale/τ · (p − q)                 reverse  kKlScale/τ · p · (ln p − ln q − kDivergence)
// less kLogprobScale · e^(s·τ − kFullLse), where p = e^(s − kStudentLse) and q = e^(t − kTeacherLse).
template <typename Value>
void differentiate_pair(LogitTile<Value> student, LogitTile<const Value> teacher, double temperature, Direction direction,
                        const double* scales, int threads);

// Overwrites a tile of logits with kScale · e^(logit − kLse), for scales [rows][kOneScales].
template <typename Value>
void differentiate_one(LogitTile<Value> logits, const double* scales, int threads);

}  // namespace cpu

// The same for tiles of float32 in the memory of the current GPU, as are sums and scales. What is to be done is queued on
// `stream`, a cudaStream_t, and not waited for. Throws std::runtime_error, with CUDA's words, where it cannot be queued.
namespace cuda {

void accumulate_pair(LogitTile<const float> student, LogitTile<const float> teacher, double temperature, Direction direction,
                     double* sums, void* stream);
void accumulate_one(LogitTile<const float> logits, double* sums, void* stream);
void differentiate_pair(LogitTile<float> student, LogitTile<const float> teacher, double temperature, Direction direction,
                        const double* scales, void* stream);
void differentiate_one(LogitTile<float> logits, const double* scales, void* stream);

}  // namespace cuda
}  // namespace sqe
