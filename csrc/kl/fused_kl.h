// The element-wise half of the fused linear KL (sqe_fast/kernels/kl/fused_kl.py): what happens to a tile of logits between two
// matrix products. A tile holds some tokens (rows) by some vocabulary ids (columns); the whole [tokens, vocabulary] never
// exists. The same operations for CPU and CUDA; this header is all that the two share.
#pragma once

#include <cstddef>

namespace sqe {

// forward: KL(teacher ‖ student); reverse: KL(student ‖ teacher).
enum class Direction { kForward, kReverse };

// What a row has summed over the columns it has seen. With s and t the logits of both, divided by the temperature, and
// w = e^t for the forward, e^s for the reverse direction; all relative to the maxima, so that nothing overflows.
enum PairSum { kStudentMax, kStudentSum, kTeacherMax, kTeacherSum, kCross, kPairSums };  // kCross: Σ w·(own − other)
enum OneSum { kMax, kSum, kOneSums };

// What a row's gradient needs: see `gradient_pair`.
enum PairScale { kStudentLse, kTeacherLse, kDivergence, kKlScale, kFullLse, kLogprobScale, kPairScales };
enum OneScale { kLse, kScale, kOneScales };

// A tile in memory: `rows` of `columns` values, one `stride` apart.
template <typename Value>
struct Tile {
    Value* values;
    std::size_t rows, columns, stride;
};

namespace cpu {

// Adds a tile of both models' logits to sums [rows][kPairSums], which start at {−∞, 0, −∞, 0, 0}.
template <typename Value>
void accumulate_pair(Tile<const Value> student, Tile<const Value> teacher, double temperature, Direction direction,
                     double* sums, int threads);

// Adds a tile of one model's logits to sums [rows][kOneSums], which start at {−∞, 0}.
template <typename Value>
void accumulate_one(Tile<const Value> logits, double temperature, double* sums, int threads);

// Overwrites a tile of student logits with the gradient towards them, for scales [rows][kPairScales]:
//   forward  kKlScale/τ · (p − q)                 reverse  kKlScale/τ · p · (ln p − ln q − kDivergence)
// less kLogprobScale · e^(s·τ − kFullLse), where p = e^(s − kStudentLse) and q = e^(t − kTeacherLse).
template <typename Value>
void gradient_pair(Tile<Value> student, Tile<const Value> teacher, double temperature, Direction direction,
                   const double* scales, int threads);

// Overwrites a tile of logits with kScale · e^(logit/τ − kLse), for scales [rows][kOneScales].
template <typename Value>
void gradient_one(Tile<Value> logits, double temperature, const double* scales, int threads);

}  // namespace cpu

// The same for tiles of float32 in the memory of the current GPU, as are sums and scales. What is to be done is queued on
// `stream`, a cudaStream_t, and not waited for. Throws std::runtime_error, with CUDA's words, where it cannot be queued.
namespace cuda {

void accumulate_pair(Tile<const float> student, Tile<const float> teacher, double temperature, Direction direction,
                     double* sums, void* stream);
void accumulate_one(Tile<const float> logits, double temperature, double* sums, void* stream);
void gradient_pair(Tile<float> student, Tile<const float> teacher, double temperature, Direction direction,
                   const double* scales, void* stream);
void gradient_one(Tile<float> logits, double temperature, const double* scales, void* stream);

}  // namespace cuda
}  // namespace sqe
