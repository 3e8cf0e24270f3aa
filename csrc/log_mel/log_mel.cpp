#include "log_mel/log_mel.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <numbers>
#include <stdexcept>
#include <string>
#include <thread>

#include "log_mel/real_fft.h"
#include "simd.h"

namespace sqe {
namespace {

constexpr double kPowerFloor = 1e-10;
constexpr float kDynamicRange = 8.0F;  // decades of power kept below the loudest value

// Slaney's scale (Auditory Toolbox): linear below 1 kHz, then 27 steps for a factor of 6.4.
constexpr double kLinearHz = 200.0 / 3.0;
constexpr double kBreakHz = 1000.0;
constexpr double kBreakMel = kBreakHz / kLinearHz;
const double kLogStep = std::log(6.4) / 27.0;

double hz_to_mel(double hz) {
    return hz < kBreakHz ? hz / kLinearHz : kBreakMel + std::log(hz / kBreakHz) / kLogStep;
}

double mel_to_hz(double mel) {
    return mel < kBreakMel ? mel * kLinearHz : kBreakHz * std::exp((mel - kBreakMel) * kLogStep);
}

const std::array<double, kFft>& hann_window() {
    static const auto window = [] {
        std::array<double, kFft> w{};
        for (int n = 0; n < kFft; ++n) w[n] = 0.5 - 0.5 * std::cos(2.0 * std::numbers::pi * n / kFft);
        return w;
    }();
    return window;
}

// Samples that one block of frames overlaps.
constexpr int kBlockSamples = (kLanes - 1) * kHop + kFft;

// Exponent all ones: NaN or infinity. Integers, because a loop over isfinite stays scalar.
SQE_SIMD bool all_finite(const float* samples, std::size_t count) {
    constexpr std::uint32_t kExponent = 0x7F800000;
    std::uint32_t bad = 0;
    for (std::size_t i = 0; i < count; ++i) bad |= (std::bit_cast<std::uint32_t>(samples[i]) & kExponent) == kExponent;
    return bad == 0;
}

// The block from sample `start` on, of the waveform that is zero-padded to 30 s and then reflected by half a window at both
// ends. `start` may be negative; lanes past the last frame get what is there and are dropped later.
void fill_edge_block(const float* samples, std::ptrdiff_t count, std::ptrdiff_t start, float* block) {
    for (int i = 0; i < kBlockSamples; ++i) {
        std::ptrdiff_t t = std::abs(start + i);
        if (t >= kMaxSamples) t = 2 * (kMaxSamples - 1) - t;
        block[i] = t < count ? samples[t] : 0.0F;
    }
}

// Eight overlapping frames → windowed, even samples as real, odd samples as imaginary parts. The samples are first laid out
// by their place within a hop, [kHop][hop]: there the lanes of one index are neighbours, and each sample is moved once, not
// once for each frame that it is in.
SQE_SIMD void window_frames(const float* __restrict block, const double* __restrict window, Spectrum& out) {
    constexpr int kHops = 12;  // that the block reaches into, rounded up to fill a vector
    alignas(64) float by_place[kHop][kHops];
    for (int hop = 0; hop * kHop < kBlockSamples; ++hop) {
        const int places = std::min(kHop, kBlockSamples - hop * kHop);
        for (int place = 0; place < places; ++place) by_place[place][hop] = block[hop * kHop + place];
    }
    for (int n = 0; n < kComplex; ++n) {
        const float* even = &by_place[2 * n % kHop][2 * n / kHop];
        const float* odd = &by_place[(2 * n + 1) % kHop][(2 * n + 1) / kHop];
#pragma GCC unroll 1
        for (int lane = 0; lane < kLanes; ++lane) out.re[n][lane] = window[2 * n] * even[lane];
#pragma GCC unroll 1
        for (int lane = 0; lane < kLanes; ++lane) out.im[n][lane] = window[2 * n + 1] * odd[lane];
    }
}

// log10(max(x, floor)) of each lane. For x = 2^e·m with m in [√½, √2): ln m = 2·artanh(s), s = (m-1)/(m+1), |s| < 0.172;
// nine terms of its series leave less than 1e-15. Integer and float64 steps only, so that the loop becomes SIMD.
[[gnu::always_inline]] inline void log10_floored(const double* x, float* out) {
    constexpr std::uint64_t kRootHalf = 0x3FE6A09E667F3BCD;  // √½
    constexpr std::uint64_t kMantissa = (std::uint64_t{1} << 52) - 1;
    constexpr std::uint64_t kOne = 0x3FF0000000000000;
    constexpr std::uint64_t kTwo52 = 0x4330000000000000;  // 2^52: its low bits count units
#pragma GCC unroll 1
    for (int lane = 0; lane < kLanes; ++lane) {
        const double floored = x[lane] > kPowerFloor ? x[lane] : kPowerFloor;
        const std::uint64_t offset = std::bit_cast<std::uint64_t>(floored) - kRootHalf + kOne;  // exponent, biased by 1023
        const double exponent = std::bit_cast<double>(kTwo52 | (offset >> 52)) - (4503599627370496.0 + 1023.0);
        const double m = std::bit_cast<double>((offset & kMantissa) + kRootHalf);
        const double s = (m - 1.0) / (m + 1.0);
        const double t = s * s;
        double series = 1.0 / 17;
        series = series * t + 1.0 / 15;
        series = series * t + 1.0 / 13;
        series = series * t + 1.0 / 11;
        series = series * t + 1.0 / 9;
        series = series * t + 1.0 / 7;
        series = series * t + 1.0 / 5;
        series = series * t + 1.0 / 3;
        series = series * t + 1.0;
        const double log10 = exponent * (std::numbers::ln2 / std::numbers::ln10) + s * series * (2.0 / std::numbers::ln10);
        out[lane] = static_cast<float>(log10);
    }
}

// A sum in this type stays in a register, which one in an array of lanes does not.
using HalfLanes [[gnu::vector_size(kLanes / 2 * sizeof(double)), gnu::may_alias]] = double;

// Power [kBins][kLanes] → log-mel [bands][stride], the first `lanes` columns.
SQE_SIMD void mel_log(const double (*__restrict power)[kLanes], const std::vector<MelBand>& bands, float* out,
                      std::size_t stride, int lanes) {
    for (std::size_t band = 0; band < bands.size(); ++band) {
        const auto& weights = bands[band].weights;
        const auto* bins = reinterpret_cast<const HalfLanes(*)[2]>(power[bands[band].first]);
        HalfLanes low{}, high{};
        for (std::size_t i = 0; i < weights.size(); ++i) {
            low += weights[i] * bins[i][0];
            high += weights[i] * bins[i][1];
        }
        alignas(64) double sum[kLanes];
        std::memcpy(sum, &low, sizeof low);
        std::memcpy(sum + kLanes / 2, &high, sizeof high);
        alignas(64) float decades[kLanes];
        log10_floored(sum, decades);
        std::copy(decades, decades + lanes, out + band * stride);
    }
}

constexpr int kMelMultiple = 16;  // of which every number of mels is one, so that no loop over values has a rest

// Clamp to the dynamic range below the loudest value, then to about -1 … 1, as Whisper was trained.
SQE_SIMD void normalise(float* values, std::size_t count) {
    float loudest[kMelMultiple];  // separate maxima, so that the loop becomes SIMD
    std::fill(loudest, loudest + kMelMultiple, values[0]);
    for (std::size_t i = 0; i < count; i += kMelMultiple)
        for (int k = 0; k < kMelMultiple; ++k) loudest[k] = std::max(loudest[k], values[i + k]);
    const float peak = *std::max_element(loudest, loudest + kMelMultiple);
    const float floor = peak - kDynamicRange;
    for (std::size_t i = 0; i < count; ++i) values[i] = ((values[i] > floor ? values[i] : floor) + 4.0F) * 0.25F;
}

// Frames that reach before the first sample, and so into its reflection.
constexpr int kReflectedFrames = (kFft / 2 + kHop - 1) / kHop;

// Frames that no later sample can change. The reflection of the first reaches as far as sample kFft / 2.
constexpr int final_frames(std::size_t count) {
    return count > kFft / 2 ? static_cast<int>((count - kFft / 2) / kHop) + 1 : 0;
}

}  // namespace

std::vector<MelBand> slaney_bands(int n_mels) {
    std::vector<double> edges(n_mels + 2);
    const double top = hz_to_mel(kSampleRate / 2.0);
    for (int i = 0; i < n_mels + 2; ++i) edges[i] = mel_to_hz(top * i / (n_mels + 1));

    std::vector<MelBand> bands;
    for (int band = 0; band < n_mels; ++band) {
        const double low = edges[band], centre = edges[band + 1], high = edges[band + 2];
        MelBand row{0, {}};
        for (int bin = 0; bin < kBins; ++bin) {
            const double hz = static_cast<double>(bin) * kSampleRate / kFft;
            const double height = std::min((hz - low) / (centre - low), (high - hz) / (high - centre));
            if (height <= 0.0) continue;
            if (row.weights.empty()) row.first = bin;
            row.weights.push_back(height * 2.0 / (high - low));
        }
        bands.push_back(std::move(row));
    }
    return bands;
}

LogMel::LogMel(int n_mels) : bands_(slaney_bands(n_mels)) {
    if (n_mels <= 0 || n_mels % kMelMultiple != 0) throw std::invalid_argument("n_mels must be a positive multiple of 16");
}

struct Workspace {
    FftScratch fft;
    alignas(64) double power[kBins][kLanes];
    float edge[kBlockSamples];
};

void LogMel::decades(const float* samples, std::size_t count, int first, int last, float* out, std::size_t stride,
                     Workspace& workspace) const {
    const double* window = hann_window().data();
    const auto length = static_cast<std::ptrdiff_t>(count);
    for (int frame = first; frame < last; frame += kLanes) {
        const std::ptrdiff_t start = static_cast<std::ptrdiff_t>(frame) * kHop - kFft / 2;
        const float* block = workspace.edge;
        if (start < 0 || start + kBlockSamples > length) {
            fill_edge_block(samples, length, start, workspace.edge);
        } else {
            block = samples + start;
        }
        window_frames(block, window, workspace.fft.a);
        power_spectrum(workspace.fft, workspace.power);
        mel_log(workspace.power, bands_, out + frame, stride, std::min(kLanes, last - frame));
    }
}

bool LogMel::compute(const Clip& clip, Workspace& workspace) const {
    if (!all_finite(clip.samples, clip.count)) return false;
    const int frames = kept_frames(clip.count);
    decades(clip.samples, clip.count, 0, frames, clip.out, frames, workspace);
    normalise(clip.out, static_cast<std::size_t>(n_mels()) * frames);
    return true;
}

bool LogMel::compute(const Clip& clip) const {
    const auto workspace = std::make_unique_for_overwrite<Workspace>();
    return compute(clip, *workspace);
}

std::size_t LogMel::compute(std::span<const Clip> clips, int threads) const {
    const std::size_t count = std::min<std::size_t>(std::max(1, threads), clips.size());
    const auto workspaces = std::make_unique_for_overwrite<Workspace[]>(count);
    std::vector<char> finite(clips.size());
    std::atomic<std::size_t> next = 0;
    const auto work = [&](std::size_t thread) {
        for (std::size_t i = next++; i < clips.size(); i = next++) finite[i] = compute(clips[i], workspaces[thread]);
    };
    {
        std::vector<std::jthread> others;
        for (std::size_t thread = 1; thread < count; ++thread) others.emplace_back(work, thread);
        if (count > 0) work(0);
    }
    return std::find(finite.begin(), finite.end(), 0) - finite.begin();
}

LogMelStream::LogMelStream(const LogMel& mel)
    : mel_(mel),
      workspace_(std::make_unique_for_overwrite<Workspace>()),
      samples_(std::make_unique_for_overwrite<float[]>(kMaxSamples)),
      decades_(std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(mel.n_mels()) * kMaxFrames)) {}

LogMelStream::~LogMelStream() = default;

float* LogMelStream::row_of(int band) const { return decades_.get() + static_cast<std::size_t>(band) * kMaxFrames; }

void LogMelStream::compute(int first, int last) {
    mel_.decades(samples_.get(), count_, first, last, decades_.get(), kMaxFrames, *workspace_);
}

bool LogMelStream::push(const float* samples, std::size_t count) {
    if (count > kMaxSamples - count_)
        throw std::invalid_argument("a stream holds at most " + std::to_string(kMaxSamples) + " samples (30 s): no " +
                                    std::to_string(count) + " more than the " + std::to_string(count_) + " held");
    if (!all_finite(samples, count)) return false;
    std::copy(samples, samples + count, samples_.get() + count_);
    count_ += count;
    // Eight frames cost as much as one: fewer wait for the next push, or for a read-out.
    const int blocks = (final_frames(count_) - done_) / kLanes;
    compute(done_, done_ + blocks * kLanes);
    done_ += blocks * kLanes;
    return true;
}

void LogMelStream::read(float* out) {
    const int frames = kept_frames(count_);
    compute(done_, frames);
    done_ = final_frames(count_);  // those beyond are computed again when more samples have come
    for (int band = 0; band < n_mels(); ++band) {
        const float* row = row_of(band);
        std::copy(row, row + frames, out + static_cast<std::size_t>(band) * frames);
    }
    normalise(out, static_cast<std::size_t>(n_mels()) * frames);
}

void LogMelStream::drop(std::ptrdiff_t count) {
    const auto held = static_cast<std::ptrdiff_t>(count_);
    if (count < 0 || count > held || count % kHop != 0)
        throw std::invalid_argument("a stream drops whole hops of " + std::to_string(kHop) + " samples, up to the " +
                                    std::to_string(held) + " held, not " + std::to_string(count));
    if (count == 0) return;
    std::copy(samples_.get() + count, samples_.get() + count_, samples_.get());
    count_ -= count;
    const int frames = static_cast<int>(count / kHop);
    done_ = done_ - frames > kReflectedFrames ? done_ - frames : 0;
    for (int band = 0; band < n_mels(); ++band) {
        float* row = row_of(band);
        std::copy(row + frames, row + frames + done_, row);
    }
    if (done_ > 0) compute(0, kReflectedFrames);  // another sample is the first one now
}

void LogMelStream::reset() {
    count_ = 0;
    done_ = 0;
}

}  // namespace sqe
