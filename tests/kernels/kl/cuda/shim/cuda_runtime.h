// Stands in for CUDA's header, so that a C++ compiler makes a program for the CPU of a .cu file. Each thread of a block is a
// fiber; between two barriers one runs alone, and at each the next is drawn at random. So a kernel's logic can be run:
// indices, barriers, shuffles, shared memory. Not modelled: the order in which memory operations are seen, speed, and
// rounding where nvcc fuses a product and a sum. Blocks run one after another.
#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <source_location>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __launch_bounds__(...)

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct alignas(16) float4 {
    float x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

using cudaStream_t = void*;
enum cudaError_t { cudaSuccess, cudaErrorLaunchFailure };
struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    std::size_t dynamicSmemBytes = 0;
    cudaStream_t stream = nullptr;
};

inline dim3 gridDim, blockDim, blockIdx, threadIdx;

namespace shim {

constexpr unsigned kWarp = 32;
constexpr std::size_t kStackBytes = 64 << 10;

inline std::string last_error;

// A number below `count`, by Knuth's linear congruence. Its seed draws the order of threads.
inline std::uint64_t state = 0;
inline std::size_t draw(std::size_t count) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return (state >> 33) % count;
}

// What threads wait at: all of a warp or of a block, all at one line of the source.
struct Barrier {
    unsigned round = 0, line = 0;
    std::vector<unsigned> waiting;
};

struct Warp {
    Barrier barrier;
    std::uint64_t values[2][kWarp] = {};  // of two rounds: a thread may be one barrier ahead of another, not two
};

class Block {
  public:
    static inline Block* current = nullptr;

    Block(unsigned threads, const std::function<void()>& kernel)
        : kernel_(kernel), fibers_(threads), warps_(threads / kWarp) {
        if (threads == 0 || threads % kWarp != 0) throw std::runtime_error("a block that is not of whole warps");
        static std::vector<std::unique_ptr<char[]>> stacks;  // kept: to touch fresh memory in each block takes longer
        while (stacks.size() < threads) stacks.emplace_back(new char[kStackBytes]);
        for (unsigned thread = 0; thread < threads; ++thread) {
            ucontext_t& fiber = fibers_[thread];
            getcontext(&fiber);
            fiber.uc_stack.ss_sp = stacks[thread].get();
            fiber.uc_stack.ss_size = kStackBytes;
            fiber.uc_link = &scheduler_;
            makecontext(&fiber, run_one, 0);
            ready_.push_back(thread);
        }
    }

    void run() {
        current = this;
        while (!ready_.empty()) {
            std::swap(ready_[draw(ready_.size())], ready_.back());
            running_ = ready_.back();
            ready_.pop_back();
            threadIdx = dim3(running_);
            swapcontext(&scheduler_, &fibers_[running_]);
            if (!fault_.empty()) throw std::runtime_error(fault_);
        }
        if (finished_ != fibers_.size()) throw std::runtime_error("a barrier that not all threads reach");
    }

    void wait(Barrier& barrier, unsigned expected, unsigned line) {
        if (!barrier.waiting.empty() && barrier.line != line)
            fail("threads at different barriers: lines " + std::to_string(barrier.line) + ", " + std::to_string(line));
        barrier.line = line;
        barrier.waiting.push_back(running_);
        if (barrier.waiting.size() == expected) {
            ready_.insert(ready_.end(), barrier.waiting.begin(), barrier.waiting.end());
            barrier.waiting.clear();
            ++barrier.round;
        }
        swapcontext(&fibers_[running_], &scheduler_);
    }

    void wait_for_block(unsigned line) { wait(block_, static_cast<unsigned>(fibers_.size()), line); }

    // What `lane` of this thread's warp brings to the same shuffle.
    template <typename Value>
    Value exchange(std::uint32_t mask, Value value, unsigned lane, unsigned line) {
        static_assert(sizeof(Value) <= sizeof(std::uint64_t));
        if (mask != 0xFFFFFFFFU) fail("a shuffle of part of a warp");
        Warp& warp = warps_[running_ / kWarp];
        auto& values = warp.values[warp.barrier.round % 2];
        std::memcpy(&values[running_ % kWarp], &value, sizeof value);
        wait(warp.barrier, kWarp, line);
        std::memcpy(&value, &values[lane % kWarp], sizeof value);
        return value;
    }

  private:
    static void run_one() {
        current->kernel_();
        ++current->finished_;
    }

    // For good: a fiber cannot throw past its stack.
    void fail(const std::string& fault) {
        fault_ = fault;
        swapcontext(&fibers_[running_], &scheduler_);
    }

    const std::function<void()>& kernel_;
    ucontext_t scheduler_;
    std::vector<ucontext_t> fibers_;
    std::vector<Warp> warps_;
    std::vector<unsigned> ready_;
    Barrier block_;
    unsigned running_ = 0;
    std::size_t finished_ = 0;
    std::string fault_;
};

}  // namespace shim

inline void __syncthreads(std::source_location where = std::source_location::current()) {
    shim::Block::current->wait_for_block(where.line());
}

template <typename Value>
Value __shfl_xor_sync(std::uint32_t mask, Value value, unsigned lanes,
                      std::source_location where = std::source_location::current()) {
    return shim::Block::current->exchange(mask, value, threadIdx.x % shim::kWarp ^ lanes, where.line());
}

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...), Arguments&&... arguments) {
    const std::tuple<Parameters...> parameters(std::forward<Arguments>(arguments)...);
    const std::function<void()> thread = [&] { std::apply(kernel, parameters); };
    gridDim = config->gridDim;
    blockDim = config->blockDim;
    try {
        for (blockIdx = dim3(0); blockIdx.x < gridDim.x; ++blockIdx.x) shim::Block(blockDim.x, thread).run();
    } catch (const std::runtime_error& error) {
        shim::last_error = error.what();
        return cudaErrorLaunchFailure;
    }
    return cudaSuccess;
}

inline const char* cudaGetErrorString(cudaError_t) { return shim::last_error.c_str(); }
