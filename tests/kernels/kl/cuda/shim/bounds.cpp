// Runs the kernels over buffers that end where their tile ends, for a build with AddressSanitizer, which reports what is
// read or written past the last row. Gaps between rows must come back as they were.
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <vector>

#include <cuda_runtime.h>

#include "kl/fused_kl.h"

namespace {

constexpr float kGap = -12345.0F;

// `rows` of `columns`, one `stride` apart, on the heap: the last row ends with the memory. `offset` values in front of the
// first row make it end, and begin, off a 16-byte boundary.
struct Rows {
    Rows(std::size_t rows, std::size_t columns, std::size_t stride, std::size_t offset)
        : tile{nullptr, rows, columns, stride}, memory(offset + (rows - 1) * stride + columns, kGap) {
        memory.shrink_to_fit();
        tile.values = memory.data() + offset;
        for (std::size_t row = 0; row < rows; ++row)
            for (std::size_t i = 0; i < columns; ++i) tile.values[row * stride + i] = 0.01F * (row * 7 + i * 13 % 101);
    }

    sqe::LogitTile<const float> given() const { return {tile.values, tile.rows, tile.columns, tile.stride}; }

    bool gaps_are_whole() const {
        const std::size_t offset = tile.values - memory.data();
        for (std::size_t i = 0; i < memory.size(); ++i)
            if ((i < offset || (i - offset) % tile.stride >= tile.columns) && memory[i] != kGap) return false;
        return true;
    }

    sqe::LogitTile<float> tile;
    std::vector<float> memory;
};

void run(std::size_t columns, std::size_t offset, std::size_t gap) {
    constexpr std::size_t kRows = 2;
    constexpr double kNothing = -std::numeric_limits<double>::infinity();
    Rows student(kRows, columns, columns + gap, offset), teacher(kRows, columns, columns + gap + 1, offset);
    Rows alike(kRows, columns, columns + gap, offset);
    for (const auto direction : {sqe::Direction::kForward, sqe::Direction::kReverse}) {
        for (const Rows* other : {&teacher, &alike}) {
            std::vector<double> sums, scales(kRows * sqe::kPairScales, 1);
            for (std::size_t row = 0; row < kRows; ++row) sums.insert(sums.end(), {kNothing, 0, kNothing, 0, 0});
            sqe::cuda::accumulate_pair(student.given(), other->given(), 1.5, direction, sums.data(), nullptr);
            sqe::cuda::differentiate_pair(student.tile, other->given(), 1.5, direction, scales.data(), nullptr);
        }
    }
    std::vector<double> sums{kNothing, 0, kNothing, 0}, scales(kRows * sqe::kOneScales, 1);
    sqe::cuda::accumulate_one(student.given(), sums.data(), nullptr);
    sqe::cuda::differentiate_one(student.tile, scales.data(), nullptr);
    if (!student.gaps_are_whole()) {
        std::fprintf(stderr, "written between rows of %zu columns\n", columns);
        std::exit(1);
    }
}

}  // namespace

int main() {
    for (const std::size_t columns : {1, 2, 3, 4, 5, 31, 255, 257, 1029})
        for (const std::size_t offset : {0, 1, 2, 3})
            run(columns, offset, offset % 2 ? 0 : 3);
    return 0;
}
