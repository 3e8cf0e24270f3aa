// Log-mel spectrogram of a whole clip, as Whisper takes it, at the clip's true length.
//
// 16 kHz, periodic Hann window of 25 ms, hop of 10 ms, Slaney mel filters. All arithmetic is float64: between a loud and a
// quiet band lie up to eight decades of power, where a float32 FFT loses the 1e-5 that the encoder is promised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sqe {

inline constexpr int kSampleRate = 16000;                           // Hz
inline constexpr int kFft = 400;                                    // samples: 25 ms
inline constexpr int kHop = 160;                                    // samples: 10 ms
inline constexpr int kBins = kFft / 2 + 1;
inline constexpr int kMaxSamples = 30 * kSampleRate;
inline constexpr int kMaxFrames = kMaxSamples / kHop;

// Frames that hold audio: ceil(samples / hop).
constexpr int valid_frames(std::size_t samples) { return static_cast<int>((samples + kHop - 1) / kHop); }

// Frames kept: two more, which the encoder's convolutions reach from its last valid output, up to 30 s.
constexpr int kept_frames(std::size_t samples) {
    const int frames = valid_frames(samples) + 2;
    return frames < kMaxFrames ? frames : kMaxFrames;
}

// One mel band: weights of the consecutive bins [first, first + weights.size()).
struct MelBand {
    int first;
    std::vector<double> weights;
};

// Slaney-scale triangles of unit area (in Hz) from 0 Hz to half the sample rate.
std::vector<MelBand> slaney_bands(int n_mels);

class LogMel {
  public:
    // Throws std::invalid_argument unless n_mels is a positive multiple of 16.
    explicit LogMel(int n_mels);

    int n_mels() const { return static_cast<int>(bands_.size()); }

    // samples: [count] with 1 <= count <= kMaxSamples. out: [n_mels, kept_frames(count)], row-major. Thread-safe.
    // Returns false, with `out` unspecified, where a sample is NaN or infinite.
    bool compute(const float* samples, std::size_t count, float* out) const;

  private:
    std::vector<MelBand> bands_;
};

}  // namespace sqe
