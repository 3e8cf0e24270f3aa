#include "bindings.h"

PYBIND11_MODULE(_native, m) {
    m.doc() = "Compiled parts of sqe_fast.";
    sqe::bind_log_mel(m);
    sqe::bind_fused_kl(m);
}
