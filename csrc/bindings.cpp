// sqe_fast._native: names, argument checks, GIL release. No torch, no CUDA: arrays in, arrays out.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>
#include <type_traits>

#include "fused_kl.h"
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

// --- fused linear KL: tiles of logits [rows, columns], float32 or float64, columns next to each other ----------------------

template <typename Value>
sqe::Tile<Value> tile(const py::array& array, const char* name) {
    using Plain = std::remove_const_t<Value>;
    if (!py::isinstance<py::array_t<Plain>>(array) || array.ndim() != 2)
        throw py::value_error(std::string(name) + " must be two-dimensional and of the same type as its fellow");
    if (array.shape(1) > 1 && array.strides(1) != static_cast<py::ssize_t>(sizeof(Plain)))
        throw py::value_error(std::string(name) + "'s columns must lie next to each other");
    Plain* values;
    if constexpr (std::is_const_v<Value>) {
        values = const_cast<Plain*>(static_cast<const Plain*>(array.data()));
    } else {
        values = static_cast<Plain*>(const_cast<py::array&>(array).mutable_data());
    }
    return {values, static_cast<std::size_t>(array.shape(0)), static_cast<std::size_t>(array.shape(1)),
            static_cast<std::size_t>(array.strides(0)) / sizeof(Plain)};
}

double* per_row(py::array_t<double, py::array::c_style>& array, std::size_t rows, int width, bool written) {
    if (array.ndim() != 2 || array.shape(0) != static_cast<py::ssize_t>(rows) || array.shape(1) != width)
        throw py::value_error("a row's figures must be [" + std::to_string(rows) + ", " + std::to_string(width) + "]");
    return written ? array.mutable_data() : const_cast<double*>(array.data());
}

void check_pair(const auto& student, const auto& teacher) {
    if (student.rows != teacher.rows || student.columns != teacher.columns)
        throw py::value_error("student and teacher must be tiles of one shape");
}

sqe::Direction direction(bool reverse) { return reverse ? sqe::Direction::kReverse : sqe::Direction::kForward; }

// Calls `work` with a value of the array's type.
void by_type(const py::array& array, const auto& work) {
    if (py::isinstance<py::array_t<float>>(array)) {
        work(float{});
    } else if (py::isinstance<py::array_t<double>>(array)) {
        work(double{});
    } else {
        throw py::value_error("logits must be float32 or float64, not " + py::str(array.dtype()).cast<std::string>());
    }
}

using Figures = py::array_t<double, py::array::c_style>;

void kl_accumulate_pair(const py::array& student, const py::array& teacher, double temperature, bool reverse, Figures sums,
                        int threads) {
    by_type(student, [&]<typename Value>(Value) {
        const auto s = tile<const Value>(student, "student"), t = tile<const Value>(teacher, "teacher");
        check_pair(s, t);
        double* figures = per_row(sums, s.rows, sqe::kPairSums, true);
        const py::gil_scoped_release release;
        sqe::cpu::accumulate_pair(s, t, temperature, direction(reverse), figures, threads);
    });
}

void kl_accumulate_one(const py::array& logits, double temperature, Figures sums, int threads) {
    by_type(logits, [&]<typename Value>(Value) {
        const auto x = tile<const Value>(logits, "logits");
        double* figures = per_row(sums, x.rows, sqe::kOneSums, true);
        const py::gil_scoped_release release;
        sqe::cpu::accumulate_one(x, temperature, figures, threads);
    });
}

void kl_gradient_pair(const py::array& student, const py::array& teacher, double temperature, bool reverse, Figures scales,
                      int threads) {
    by_type(student, [&]<typename Value>(Value) {
        const auto s = tile<Value>(student, "student");
        const auto t = tile<const Value>(teacher, "teacher");
        check_pair(s, t);
        const double* figures = per_row(scales, s.rows, sqe::kPairScales, false);
        const py::gil_scoped_release release;
        sqe::cpu::gradient_pair(s, t, temperature, direction(reverse), figures, threads);
    });
}

void kl_gradient_one(const py::array& logits, double temperature, Figures scales, int threads) {
    by_type(logits, [&]<typename Value>(Value) {
        const auto x = tile<Value>(logits, "logits");
        const double* figures = per_row(scales, x.rows, sqe::kOneScales, false);
        const py::gil_scoped_release release;
        sqe::cpu::gradient_one(x, temperature, figures, threads);
    });
}

}  // namespace

PYBIND11_MODULE(_native, m) {
    m.doc() = "Compiled parts of sqe_fast.";
    m.attr("SAMPLE_RATE") = sqe::kSampleRate;
    m.attr("HOP") = sqe::kHop;
    m.attr("N_FFT") = sqe::kFft;
    m.attr("MAX_FRAMES") = sqe::kMaxFrames;
    m.def("log_mel", &log_mel, py::arg("samples"), py::arg("n_mels"),
          "Log-mel [n_mels, min(ceil(n/160) + 2, 3000)] float32 of samples [n] float32 at 16 kHz, 1 <= n <= 480000.\n"
          "Raises ValueError for another dtype, shape, layout, length or n_mels, or a sample that is not finite.");

    // What they compute stands in fused_kl.h; sums and scales are written and read in place.
    m.def("kl_accumulate_pair", &kl_accumulate_pair, py::arg("student"), py::arg("teacher"), py::arg("temperature"),
          py::arg("reverse"), py::arg("sums").noconvert(), py::arg("threads"));
    m.def("kl_accumulate_one", &kl_accumulate_one, py::arg("logits"), py::arg("temperature"), py::arg("sums").noconvert(),
          py::arg("threads"));
    m.def("kl_gradient_pair", &kl_gradient_pair, py::arg("student"), py::arg("teacher"), py::arg("temperature"),
          py::arg("reverse"), py::arg("scales").noconvert(), py::arg("threads"));
    m.def("kl_gradient_one", &kl_gradient_one, py::arg("logits"), py::arg("temperature"), py::arg("scales").noconvert(),
          py::arg("threads"));
}
