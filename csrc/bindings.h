// What each operator adds to the module sqe_fast._native: names, argument checks, GIL release. No torch: arrays in, arrays out.
#pragma once

#include <pybind11/pybind11.h>

namespace sqe {

void bind_log_mel(pybind11::module_& m);
void bind_fused_kl(pybind11::module_& m);

}  // namespace sqe
