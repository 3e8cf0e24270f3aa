// |FFT|² of 400 real points, for several frames at once.
//
// Frames lie side by side: value [index][lane], so that every operation is the same for all lanes and the compiler turns each
// inner loop into SIMD of whatever width the machine has. A frame's result does not depend on its lane or neighbours.
#pragma once

#include "log_mel/log_mel.h"

namespace sqe {

inline constexpr int kLanes = 8;
inline constexpr int kComplex = kFft / 2;

// Complex values, structure of arrays.
struct alignas(64) Spectrum {
    double re[kComplex][kLanes];
    double im[kComplex][kLanes];
};

struct FftScratch {
    Spectrum a;
    Spectrum b;
};

// In: scratch.a holds x[2n] + i·x[2n+1] of the windowed frames. Out: power [kBins][kLanes]. Overwrites the scratch.
void power_spectrum(FftScratch& scratch, double (*power)[kLanes]);

}  // namespace sqe
