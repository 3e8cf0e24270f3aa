#include <pybind11/numpy.h>

#include <string>

#include "bindings.h"
#include "log_mel.h"

namespace py = pybind11;

namespace {

// Filters are built once per size; a static's construction is thread-safe.
const sqe::LogMel& front_end(int n_mels) {
    if (n_mels == 80) {
        static const sqe::LogMel mel_80(80);
        return mel_80;
    }
    if (n_mels == 128) {
        static const sqe::LogMel mel_128(128);
        return mel_128;
    }
    throw py::value_error("n_mels must be 80 or 128, not " + std::to_string(n_mels));
}

void check_samples(const py::array& samples) {
    if (!py::isinstance<py::array_t<float>>(samples))
        throw py::value_error("samples must be float32, not " + py::str(samples.dtype()).cast<std::string>());
    if (samples.ndim() != 1)
        throw py::value_error("samples must have one dimension (mono), not " + std::to_string(samples.ndim()));
    constexpr int kNeeded = py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
    if ((samples.flags() & kNeeded) != kNeeded)
        throw py::value_error("samples must be contiguous and aligned: pass numpy.ascontiguousarray(samples)");
    if (samples.size() < 1 || samples.size() > sqe::kMaxSamples)
        throw py::value_error("samples must hold 1 to " + std::to_string(sqe::kMaxSamples) + " values (30 s), not " +
                              std::to_string(samples.size()));
}

py::array_t<float> log_mel(const py::array& samples, int n_mels) {
    check_samples(samples);
    const sqe::LogMel& mel = front_end(n_mels);
    const auto count = static_cast<std::size_t>(samples.size());
    py::array_t<float> out({n_mels, sqe::kept_frames(count)});
    const auto* in = static_cast<const float*>(samples.data());
    float* values = out.mutable_data();
    bool finite;
    {
        const py::gil_scoped_release release;
        finite = mel.compute(in, count, values);
    }
    if (!finite) throw py::value_error("samples must be finite: there is a NaN or an infinity among them");
    return out;
}

}  // namespace

void sqe::bind_log_mel(py::module_& m) {
    m.attr("SAMPLE_RATE") = sqe::kSampleRate;
    m.attr("HOP") = sqe::kHop;
    m.attr("N_FFT") = sqe::kFft;
    m.attr("MAX_FRAMES") = sqe::kMaxFrames;
    m.def("log_mel", &log_mel, py::arg("samples"), py::arg("n_mels"),
          "Log-mel [n_mels, min(ceil(n/160) + 2, 3000)] float32 of samples [n] float32 at 16 kHz, 1 <= n <= 480000.\n"
          "Raises ValueError for another dtype, shape, layout, length or n_mels, or a sample that is not finite.");
}
