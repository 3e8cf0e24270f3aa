#include <pybind11/numpy.h>

#include <atomic>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bindings.h"
#include "log_mel/log_mel.h"

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

// `name` is what a message calls the array.
void check_layout(const py::array& samples, const std::string& name) {
    if (!py::isinstance<py::array_t<float>>(samples))
        throw py::value_error(name + " must be float32, not " + py::str(samples.dtype()).cast<std::string>());
    if (samples.ndim() != 1)
        throw py::value_error(name + " must have one dimension (mono), not " + std::to_string(samples.ndim()));
    constexpr int kNeeded = int{py::array::c_style} | int{py::detail::npy_api::NPY_ARRAY_ALIGNED_};
    if ((samples.flags() & kNeeded) != kNeeded)
        throw py::value_error(name + " must be contiguous and aligned: pass numpy.ascontiguousarray(" + name + ")");
}

[[noreturn]] void refuse_not_finite(const std::string& name) {
    throw py::value_error(name + " must be finite: there is a NaN or an infinity among them");
}

const float* data_of(const py::array& samples) { return static_cast<const float*>(samples.data()); }

std::size_t check_clip(const py::array& samples, const std::string& name) {
    check_layout(samples, name);
    if (samples.size() < 1 || samples.size() > sqe::kMaxSamples)
        throw py::value_error(name + " must hold 1 to " + std::to_string(sqe::kMaxSamples) + " values (30 s), not " +
                              std::to_string(samples.size()));
    return static_cast<std::size_t>(samples.size());
}

py::array_t<float> log_mel(const py::array& samples, int n_mels) {
    const std::size_t count = check_clip(samples, "samples");
    const sqe::LogMel& mel = front_end(n_mels);
    py::array_t<float> out({n_mels, sqe::kept_frames(count)});
    const sqe::Clip clip{data_of(samples), count, out.mutable_data()};
    bool finite;
    {
        const py::gil_scoped_release release;
        finite = mel.compute(clip);
    }
    if (!finite) refuse_not_finite("samples");
    return out;
}

py::list log_mels(const py::list& clips, int n_mels, int threads) {
    if (threads < 1) throw py::value_error("threads must be at least 1, not " + std::to_string(threads));
    const sqe::LogMel& mel = front_end(n_mels);
    const auto name = [](std::size_t i) { return "clips[" + std::to_string(i) + "]"; };
    std::vector<py::array> held;  // the caller's list may change while the GIL is free
    std::vector<std::size_t> counts;
    for (const py::handle clip : clips) {
        const std::size_t i = held.size();
        if (!py::isinstance<py::array>(clip))
            throw py::type_error(name(i) + " must be an array, not " + Py_TYPE(clip.ptr())->tp_name);
        held.push_back(py::reinterpret_borrow<py::array>(clip));
        counts.push_back(check_clip(held[i], name(i)));
    }
    std::vector<sqe::Clip> batch;
    py::list out;
    for (std::size_t i = 0; i < held.size(); ++i) {
        py::array_t<float> of_clip({n_mels, sqe::kept_frames(counts[i])});
        batch.push_back({data_of(held[i]), counts[i], of_clip.mutable_data()});
        out.append(std::move(of_clip));
    }
    std::size_t bad;
    {
        const py::gil_scoped_release release;
        bad = mel.compute(batch, threads);
    }
    if (bad < batch.size()) refuse_not_finite(name(bad));
    return out;
}

// Methods run without the GIL, so two threads could meet in one stream: the second is refused.
class Stream {
  public:
    explicit Stream(int n_mels) : stream_(front_end(n_mels)) {}

    void push(const py::array& samples) {
        const Turn turn(busy_);
        check_layout(samples, "samples");
        bool finite;
        {
            const py::gil_scoped_release release;
            finite = stream_.push(data_of(samples), static_cast<std::size_t>(samples.size()));
        }
        if (!finite) refuse_not_finite("samples");
    }

    py::array_t<float> log_mel() {
        const Turn turn(busy_);
        if (stream_.samples() == 0) throw py::value_error("the stream holds no samples");
        py::array_t<float> out({stream_.n_mels(), sqe::kept_frames(stream_.samples())});
        float* values = out.mutable_data();
        {
            const py::gil_scoped_release release;
            stream_.read(values);
        }
        return out;
    }

    void drop(std::ptrdiff_t samples) {
        const Turn turn(busy_);
        stream_.drop(samples);
    }

    void reset() {
        const Turn turn(busy_);
        stream_.reset();
    }

    std::size_t samples() {
        const Turn turn(busy_);
        return stream_.samples();
    }

  private:
    class Turn {
      public:
        explicit Turn(std::atomic_flag& busy) : busy_(busy) {
            if (busy_.test_and_set()) throw std::runtime_error("another thread is using this stream");
        }
        ~Turn() { busy_.clear(); }
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;

      private:
        std::atomic_flag& busy_;
    };

    sqe::LogMelStream stream_;
    std::atomic_flag busy_;
};

}  // namespace

void sqe::bind_log_mel(py::module_& m) {
    m.attr("SAMPLE_RATE") = sqe::kSampleRate;
    m.attr("HOP") = sqe::kHop;
    m.attr("N_FFT") = sqe::kFft;
    m.attr("MAX_FRAMES") = sqe::kMaxFrames;
    m.def("log_mel", &log_mel, py::arg("samples"), py::arg("n_mels"),
          "Log-mel [n_mels, min(ceil(n/160) + 2, 3000)] float32 of samples [n] float32 at 16 kHz, 1 <= n <= 480000.\n"
          "Raises ValueError for another dtype, shape, layout, length or n_mels, or a sample that is not finite.");
    m.def("log_mels", &log_mels, py::arg("clips"), py::arg("n_mels"), py::arg("threads"),
          "log_mel of each clip, on at most so many threads. Raises as log_mel does, and says of which clip.");
    py::class_<Stream>(m, "LogMelStream", "log_mel of samples that arrive piece by piece; see sqe_fast.features.")
        .def(py::init<int>(), py::arg("n_mels"))
        .def("push", &Stream::push, py::arg("samples"))
        .def("log_mel", &Stream::log_mel)
        .def("drop", &Stream::drop, py::arg("samples"))
        .def("reset", &Stream::reset)
        .def_property_readonly("samples", &Stream::samples);
}
