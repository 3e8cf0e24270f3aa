// Log-mel spectrogram as Whisper takes it, at the clip's true length: of a whole clip, of many, and of a stream.
//
// 16 kHz, periodic Hann window of 25 ms, hop of 10 ms, Slaney mel filters. All arithmetic is float64: between a loud and a
// quiet band lie up to eight decades of power, where a float32 FFT loses the 1e-5 that the encoder is promised.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
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

// What one thread, or one stream, needs to compute frames: 70 kB.
struct Workspace;

// One clip of a batch: samples [count], out [n_mels, kept_frames(count)], row-major; 1 <= count <= kMaxSamples.
struct Clip {
    const float* samples;
    std::size_t count;
    float* out;
};

class LogMel {
  public:
    // Throws std::invalid_argument unless n_mels is a positive multiple of 16.
    explicit LogMel(int n_mels);

    int n_mels() const { return static_cast<int>(bands_.size()); }

    // Returns false, with clip.out unspecified, where a sample is NaN or infinite. Thread-safe.
    bool compute(const Clip& clip) const;

    // Every clip as by itself, on at most `threads` threads, the caller's among them. Returns the index of the first clip
    // that has a NaN or an infinite sample, clips.size() where none has; the other clips are computed all the same.
    std::size_t compute(std::span<const Clip> clips, int threads) const;

  private:
    friend class LogMelStream;

    bool compute(const Clip& clip, Workspace& workspace) const;

    // Frames [first, last) of samples [count], in decades of power, neither clamped nor scaled: the one of `band` at
    // `frame` goes to out[band * stride + frame]. No frame's bits depend on which others are computed along with it.
    void decades(const float* samples, std::size_t count, int first, int last, float* out, std::size_t stride,
                 Workspace& workspace) const;

    std::vector<MelBand> bands_;
};

// Log-mel of samples that arrive piece by piece, of which the last 30 s or fewer are held. All memory is allocated at
// construction. For one thread at a time.
class LogMelStream {
  public:
    // `mel` must outlive the stream.
    explicit LogMelStream(const LogMel& mel);
    ~LogMelStream();

    int n_mels() const { return mel_.n_mels(); }
    std::size_t samples() const { return count_; }

    // Throws std::invalid_argument where more than kMaxSamples would be held, and returns false where a sample is NaN or
    // infinite; either way nothing has changed.
    bool push(const float* samples, std::size_t count);

    // Forgets the oldest samples. Throws std::invalid_argument unless `count` is a number of whole hops, no more than held.
    void drop(std::ptrdiff_t count);

    void reset();

    // out: [n_mels, kept_frames(samples())], bit for bit what LogMel::compute gives of all samples held; there must be one.
    void read(float* out);

  private:
    void compute(int first, int last);
    float* row_of(int band) const;

    const LogMel& mel_;
    std::unique_ptr<Workspace> workspace_;
    std::unique_ptr<float[]> samples_;  // [kMaxSamples], of which count_ are held
    std::unique_ptr<float[]> decades_;  // [n_mels, kMaxFrames], of which the first done_ columns are final
    std::size_t count_ = 0;
    int done_ = 0;
};

}  // namespace sqe
