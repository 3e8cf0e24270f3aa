// Runs the CPU's operations on tiles that end where their memory ends, for a build with AddressSanitizer, which reports
// what is read or written past the last row. Gaps between rows must come back as they were.
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <vector>

#include "kl/fused_kl.h"

namespace {

constexpr std::size_t kRows = 3;

template <typename Value>
struct Rows {
    Rows(std::size_t columns, std::size_t gap) : columns(columns), stride(columns + gap) {
        const std::size_t size = columns ? (kRows - 1) * stride + columns : 0;
        memory = static_cast<Value*>(std::malloc(size * sizeof(Value)));  // no byte more
        for (std::size_t i = 0; i < size; ++i) memory[i] = kGap;
        for (std::size_t row = 0; row < kRows; ++row)
            for (std::size_t i = 0; i < columns; ++i) memory[row * stride + i] = Value(0.01) * (row * 7 + i * 13 % 101);
    }
    Rows(const Rows&) = delete;
    ~Rows() { std::free(memory); }

    sqe::LogitTile<Value> tile() const { return {memory, kRows, columns, stride}; }
    sqe::LogitTile<const Value> given() const { return {memory, kRows, columns, stride}; }

    bool gaps_are_whole() const {
        for (std::size_t row = 0; columns && row + 1 < kRows; ++row)
            for (std::size_t i = columns; i < stride; ++i)
                if (memory[row * stride + i] != kGap) return false;
        return true;
    }

    static constexpr Value kGap = -12345;
    std::size_t columns, stride;
    Value* memory;
};

template <typename Value>
void run(std::size_t columns, std::size_t gap) {
    constexpr double kNothing = -std::numeric_limits<double>::infinity();
    Rows<Value> student(columns, gap), teacher(columns, gap + 1);
    for (const auto direction : {sqe::Direction::kForward, sqe::Direction::kReverse}) {
        for (const int threads : {1, 3}) {
            std::vector<double> sums, scales(kRows * sqe::kPairScales, 1);
            for (std::size_t row = 0; row < kRows; ++row) sums.insert(sums.end(), {kNothing, 0, kNothing, 0, 0});
            sqe::cpu::accumulate_pair(student.given(), teacher.given(), 1.5, direction, sums.data(), threads);
            sqe::cpu::differentiate_pair(student.tile(), teacher.given(), 1.5, direction, scales.data(), threads);
            std::vector<double> ones, one_scales(kRows * sqe::kOneScales, 1);
            for (std::size_t row = 0; row < kRows; ++row) ones.insert(ones.end(), {kNothing, 0});
            sqe::cpu::accumulate_one(student.given(), ones.data(), threads);
            sqe::cpu::differentiate_one(student.tile(), one_scales.data(), threads);
        }
    }
    if (!student.gaps_are_whole() || !teacher.gaps_are_whole()) {
        std::fprintf(stderr, "written between rows of %zu columns\n", columns);
        std::exit(1);
    }
}

}  // namespace

int main() {
    for (const std::size_t columns : {0, 1, 2, 31, 32, 33, 64, 257, 20011})
        for (const std::size_t gap : {0, 5}) {
            run<float>(columns, gap);
            run<double>(columns, gap);
        }
    return 0;
}
