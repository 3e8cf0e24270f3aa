#include <pybind11/numpy.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>

#include "bindings.h"
#include "kl/fused_kl.h"

namespace py = pybind11;

namespace {

// Tiles of logits [rows, columns], float32 or float64, columns next to each other.
template <typename Value>
sqe::LogitTile<Value> tile(const py::array& array, const char* name) {
    using Plain = std::remove_const_t<Value>;
    if (!py::isinstance<py::array_t<Plain>>(array) || array.ndim() != 2)
        throw py::value_error(std::string(name) + " must be two-dimensional and of the same type as its fellow");
    constexpr auto kSize = static_cast<py::ssize_t>(sizeof(Plain));
    const py::ssize_t rows = array.shape(0), columns = array.shape(1);
    if (columns > 1 && array.size() && array.strides(1) != kSize)
        throw py::value_error(std::string(name) + "'s columns must lie next to each other");
    // Of one row, or of nothing, a stride may be anything.
    const py::ssize_t stride = rows > 1 && array.size() ? array.strides(0) : columns * kSize;
    if (stride < columns * kSize || stride % kSize != 0)
        throw py::value_error(std::string(name) + "'s rows must lie one after the other, whole values apart");
    if (reinterpret_cast<std::uintptr_t>(array.data()) % alignof(Plain) != 0)
        throw py::value_error(std::string(name) + "'s values must lie at multiples of their size");
    Plain* values;
    if constexpr (std::is_const_v<Value>) {
        values = const_cast<Plain*>(static_cast<const Plain*>(array.data()));
    } else {
        values = static_cast<Plain*>(const_cast<py::array&>(array).mutable_data());
    }
    return {values, static_cast<std::size_t>(rows), static_cast<std::size_t>(columns),
            static_cast<std::size_t>(stride / kSize)};
}

double* per_row(py::array_t<double, py::array::c_style>& array, std::size_t rows, int width, bool written) {
    if (array.ndim() != 2 || array.shape(0) != static_cast<py::ssize_t>(rows) || array.shape(1) != width)
        throw py::value_error("a row's figures must be [" + std::to_string(rows) + ", " + std::to_string(width) + "]");
    return written ? array.mutable_data() : const_cast<double*>(array.data());
}

template <typename Student, typename Teacher>
void check_pair(const sqe::LogitTile<Student>& student, const sqe::LogitTile<Teacher>& teacher, double temperature) {
    if (student.rows != teacher.rows || student.columns != teacher.columns)
        throw py::value_error("student and teacher must be tiles of one shape");
    if (!(temperature > 0) || std::isinf(temperature))
        throw py::value_error("temperature must be a positive number, not " + std::to_string(temperature));
}

// Calls `work` with a value of the array's type.
template <typename Work>
void by_type(const py::array& array, const Work& work) {
    if (py::isinstance<py::array_t<float>>(array)) {
        work(float{});
    } else if (py::isinstance<py::array_t<double>>(array)) {
        work(double{});
    } else {
        throw py::value_error("logits must be float32 or float64, not " + py::str(array.dtype()).cast<std::string>());
    }
}

using Figures = py::array_t<double, py::array::c_style>;

void kl_accumulate_pair(const py::array& student, const py::array& teacher, double temperature,
                        const std::string& direction, Figures sums, int threads) {
    const sqe::Direction in = sqe::direction_of(direction);
    by_type(student, [&]<typename Value>(Value) {
        const auto s = tile<const Value>(student, "student"), t = tile<const Value>(teacher, "teacher");
        check_pair(s, t, temperature);
        double* figures = per_row(sums, s.rows, sqe::kPairSums, true);
        const py::gil_scoped_release release;
        sqe::cpu::accumulate_pair(s, t, temperature, in, figures, threads);
    });
}

void kl_accumulate_one(const py::array& logits, Figures sums, int threads) {
    by_type(logits, [&]<typename Value>(Value) {
        const auto x = tile<const Value>(logits, "logits");
        double* figures = per_row(sums, x.rows, sqe::kOneSums, true);
        const py::gil_scoped_release release;
        sqe::cpu::accumulate_one(x, figures, threads);
    });
}

void kl_differentiate_pair(const py::array& student, const py::array& teacher, double temperature,
                           const std::string& direction, Figures scales, int threads) {
    const sqe::Direction in = sqe::direction_of(direction);
    by_type(student, [&]<typename Value>(Value) {
        const auto s = tile<Value>(student, "student");
        const auto t = tile<const Value>(teacher, "teacher");
        check_pair(s, t, temperature);
        const double* figures = per_row(scales, s.rows, sqe::kPairScales, false);
        const py::gil_scoped_release release;
        sqe::cpu::differentiate_pair(s, t, temperature, in, figures, threads);
    });
}

void kl_differentiate_one(const py::array& logits, Figures scales, int threads) {
    by_type(logits, [&]<typename Value>(Value) {
        const auto x = tile<Value>(logits, "logits");
        const double* figures = per_row(scales, x.rows, sqe::kOneScales, false);
        const py::gil_scoped_release release;
        sqe::cpu::differentiate_one(x, figures, threads);
    });
}

#ifdef SQE_CUDA
// Tiles, sums, scales and the stream as addresses: tensors of a GPU are no arrays. The caller answers for shapes and types.
using Address = std::uintptr_t;

template <typename Value>
sqe::LogitTile<Value> tile_at(Address address, std::size_t rows, std::size_t columns, std::size_t stride) {
    if (rows > 1 && stride < columns) throw py::value_error("a tile's rows must lie one after the other");
    return {reinterpret_cast<Value*>(address), rows, columns, stride};
}

void kl_cuda_accumulate_pair(Address student, Address teacher, std::size_t rows, std::size_t columns,
                             std::size_t student_stride, std::size_t teacher_stride, double temperature,
                             const std::string& direction, Address sums, Address stream) {
    sqe::cuda::accumulate_pair(tile_at<const float>(student, rows, columns, student_stride),
                               tile_at<const float>(teacher, rows, columns, teacher_stride), temperature,
                               sqe::direction_of(direction), reinterpret_cast<double*>(sums),
                               reinterpret_cast<void*>(stream));
}

void kl_cuda_accumulate_one(Address logits, std::size_t rows, std::size_t columns, std::size_t stride, Address sums,
                            Address stream) {
    sqe::cuda::accumulate_one(tile_at<const float>(logits, rows, columns, stride), reinterpret_cast<double*>(sums),
                              reinterpret_cast<void*>(stream));
}

void kl_cuda_differentiate_pair(Address student, Address teacher, std::size_t rows, std::size_t columns,
                                std::size_t student_stride, std::size_t teacher_stride, double temperature,
                                const std::string& direction, Address scales, Address stream) {
    sqe::cuda::differentiate_pair(tile_at<float>(student, rows, columns, student_stride),
                                  tile_at<const float>(teacher, rows, columns, teacher_stride), temperature,
                                  sqe::direction_of(direction), reinterpret_cast<const double*>(scales),
                                  reinterpret_cast<void*>(stream));
}

void kl_cuda_differentiate_one(Address logits, std::size_t rows, std::size_t columns, std::size_t stride, Address scales,
                               Address stream) {
    sqe::cuda::differentiate_one(tile_at<float>(logits, rows, columns, stride), reinterpret_cast<const double*>(scales),
                                 reinterpret_cast<void*>(stream));
}

void bind_cuda(py::module_& m) {
    m.def("kl_cuda_accumulate_pair", &kl_cuda_accumulate_pair, py::arg("student"), py::arg("teacher"), py::arg("rows"),
          py::arg("columns"), py::arg("student_stride"), py::arg("teacher_stride"), py::arg("temperature"),
          py::arg("direction"), py::arg("sums"), py::arg("stream"));
    m.def("kl_cuda_accumulate_one", &kl_cuda_accumulate_one, py::arg("logits"), py::arg("rows"), py::arg("columns"),
          py::arg("stride"), py::arg("sums"), py::arg("stream"));
    m.def("kl_cuda_differentiate_pair", &kl_cuda_differentiate_pair, py::arg("student"), py::arg("teacher"),
          py::arg("rows"), py::arg("columns"), py::arg("student_stride"), py::arg("teacher_stride"), py::arg("temperature"),
          py::arg("direction"), py::arg("scales"), py::arg("stream"));
    m.def("kl_cuda_differentiate_one", &kl_cuda_differentiate_one, py::arg("logits"), py::arg("rows"), py::arg("columns"),
          py::arg("stride"), py::arg("scales"), py::arg("stream"));
}
#endif

}  // namespace

void sqe::bind_fused_kl(py::module_& m) {
    // What they compute stands in fused_kl.h; sums and scales are written and read in place.
    m.def("kl_accumulate_pair", &kl_accumulate_pair, py::arg("student"), py::arg("teacher"), py::arg("temperature"),
          py::arg("direction"), py::arg("sums").noconvert(), py::arg("threads"));
    m.def("kl_accumulate_one", &kl_accumulate_one, py::arg("logits"), py::arg("sums").noconvert(), py::arg("threads"));
    m.def("kl_differentiate_pair", &kl_differentiate_pair, py::arg("student"), py::arg("teacher"), py::arg("temperature"),
          py::arg("direction"), py::arg("scales").noconvert(), py::arg("threads"));
    m.def("kl_differentiate_one", &kl_differentiate_one, py::arg("logits"), py::arg("scales").noconvert(),
          py::arg("threads"));
#ifdef SQE_CUDA
    m.attr("CUDA") = true;  // whether the module was built with kernels; not whether there is a GPU
    bind_cuda(m);
#else
    m.attr("CUDA") = false;
#endif
}
