#include "log_mel/real_fft.h"

#include <cmath>
#include <numbers>

#include "simd.h"

namespace sqe {
namespace {

// e^(-2πi k/n) for k = 0 … count-1, no more than kComplex. No heap: the first transform must not allocate either.
struct Roots {
    double re[kComplex], im[kComplex];

    Roots(int n, int count) {
        for (int k = 0; k < count; ++k) {
            const double angle = -2.0 * std::numbers::pi * k / n;
            re[k] = std::cos(angle);
            im[k] = std::sin(angle);
        }
    }
};

// Built once, by whoever comes first; C++ makes other threads wait for it.
struct Plan {
    Roots of_200{kComplex, kComplex};
    Roots of_25{25, 25};
    Roots of_400{kFft, kComplex / 2 + 1};
};

const Plan& plan() {
    static const Plan instance;
    return instance;
}

// The three passes are Stockham's: inputs `m` groups apart, outputs next to each other, so no bit reversal is needed.
// A pass of radix r over length n, of which `stride` interleaved transforms are done:
//   y[q + stride·(r·p + k)] = e^(-2πi pk/n) · Σ_j x[q + stride·(p + j·n/r)] · e^(-2πi jk/r)

// Radix 8 over 200: in → out, stride 1.
SQE_SIMD void pass_8(const Spectrum& in, Spectrum& out, const Roots& roots) {
    constexpr int kGroups = kComplex / 8;
    constexpr double kHalfRoot = std::numbers::sqrt2 / 2;
    for (int p = 0; p < kGroups; ++p) {
        double wr[8], wi[8];
        for (int k = 0; k < 8; ++k) {
            wr[k] = roots.re[p * k];
            wi[k] = roots.im[p * k];
        }
        for (int lane = 0; lane < kLanes; ++lane) {
            const auto re = [&](int j) { return in.re[p + j * kGroups][lane]; };
            const auto im = [&](int j) { return in.im[p + j * kGroups][lane]; };
            const auto store = [&](int k, double r, double i) {
                out.re[8 * p + k][lane] = r * wr[k] - i * wi[k];
                out.im[8 * p + k][lane] = r * wi[k] + i * wr[k];
            };
            // Sums and differences four apart; the sums feed the even outputs, the differences, turned, the odd ones.
            const double s0r = re(0) + re(4), s0i = im(0) + im(4), d0r = re(0) - re(4), d0i = im(0) - im(4);
            const double s1r = re(1) + re(5), s1i = im(1) + im(5), d1r = re(1) - re(5), d1i = im(1) - im(5);
            const double s2r = re(2) + re(6), s2i = im(2) + im(6), d2r = re(2) - re(6), d2i = im(2) - im(6);
            const double s3r = re(3) + re(7), s3i = im(3) + im(7), d3r = re(3) - re(7), d3i = im(3) - im(7);

            const double e0r = s0r + s2r, e0i = s0i + s2i, e1r = s0r - s2r, e1i = s0i - s2i;
            const double e2r = s1r + s3r, e2i = s1i + s3i, e3r = s1i - s3i, e3i = s3r - s1r;  // times -i
            store(0, e0r + e2r, e0i + e2i);
            store(4, e0r - e2r, e0i - e2i);
            store(2, e1r + e3r, e1i + e3i);
            store(6, e1r - e3r, e1i - e3i);

            // d1 times e^(-πi/4), d2 times -i, d3 times e^(-3πi/4).
            const double t1r = (d1r + d1i) * kHalfRoot, t1i = (d1i - d1r) * kHalfRoot;
            const double t3r = (d3i - d3r) * kHalfRoot, t3i = -(d3r + d3i) * kHalfRoot;
            const double o0r = d0r + d2i, o0i = d0i - d2r, o1r = d0r - d2i, o1i = d0i + d2r;
            const double o2r = t1r + t3r, o2i = t1i + t3i, o3r = t1i - t3i, o3i = t3r - t1r;  // times -i
            store(1, o0r + o2r, o0i + o2i);
            store(5, o0r - o2r, o0i - o2i);
            store(3, o1r + o3r, o1i + o3i);
            store(7, o1r - o3r, o1i - o3i);
        }
    }
}

// Radix 5 over `Groups`·5, `Stride` transforms interleaved: (Groups, Stride) is (5, 8), then (1, 40).
template <int Groups, int Stride>
[[gnu::always_inline]] inline void pass_5(const Spectrum& in, Spectrum& out, const Roots& roots) {
    const double c1 = std::cos(2.0 * std::numbers::pi / 5), s1 = std::sin(2.0 * std::numbers::pi / 5);
    const double c2 = std::cos(4.0 * std::numbers::pi / 5), s2 = std::sin(4.0 * std::numbers::pi / 5);
    for (int p = 0; p < Groups; ++p) {
        double wr[5], wi[5];
        for (int k = 0; k < 5; ++k) {
            wr[k] = roots.re[p * k];
            wi[k] = roots.im[p * k];
        }
        // The interleaved transforms and their lanes are contiguous: one loop runs over both.
        const double* x[5];
        const double* y[5];
        double* u[5];
        double* v[5];
        for (int j = 0; j < 5; ++j) {
            x[j] = in.re[Stride * (p + j * Groups)];
            y[j] = in.im[Stride * (p + j * Groups)];
            u[j] = out.re[Stride * (5 * p + j)];
            v[j] = out.im[Stride * (5 * p + j)];
        }
#pragma GCC ivdep
        for (int q = 0; q < Stride * kLanes; ++q) {
            const auto store = [&](int k, double r, double i) {
                u[k][q] = r * wr[k] - i * wi[k];
                v[k][q] = r * wi[k] + i * wr[k];
            };
            const double a14r = x[1][q] + x[4][q], a14i = y[1][q] + y[4][q];
            const double b14r = x[1][q] - x[4][q], b14i = y[1][q] - y[4][q];
            const double a23r = x[2][q] + x[3][q], a23i = y[2][q] + y[3][q];
            const double b23r = x[2][q] - x[3][q], b23i = y[2][q] - y[3][q];

            const double m1r = x[0][q] + c1 * a14r + c2 * a23r, m1i = y[0][q] + c1 * a14i + c2 * a23i;
            const double m2r = x[0][q] + c2 * a14r + c1 * a23r, m2i = y[0][q] + c2 * a14i + c1 * a23i;
            const double n1r = s1 * b14r + s2 * b23r, n1i = s1 * b14i + s2 * b23i;
            const double n2r = s2 * b14r - s1 * b23r, n2i = s2 * b14i - s1 * b23i;

            store(0, x[0][q] + a14r + a23r, y[0][q] + a14i + a23i);
            store(1, m1r + n1i, m1i - n1r);
            store(4, m1r - n1i, m1i + n1r);
            store(2, m2r + n2i, m2i - n2r);
            store(3, m2r - n2i, m2i + n2r);
        }
    }
}

SQE_SIMD void pass_5_middle(const Spectrum& in, Spectrum& out, const Roots& roots) { pass_5<5, 8>(in, out, roots); }

SQE_SIMD void pass_5_last(const Spectrum& in, Spectrum& out, const Roots& roots) { pass_5<1, 40>(in, out, roots); }

// The 200 complex bins z → |X|² of the real transform's 201: X[k] = E + w^k·O and X[200-k] = conj(E - w^k·O), where
// E and O are the transforms of the even and the odd samples.
SQE_SIMD void split(const Spectrum& __restrict z, double (*__restrict power)[kLanes], const Roots& roots) {
    for (int k = 0; k <= kComplex / 2; ++k) {
        const int mirror = (kComplex - k) % kComplex;
        const double wr = roots.re[k], wi = roots.im[k];
        double* low = power[k];
        double* high = power[kComplex - k];
#pragma GCC ivdep
#pragma GCC unroll 1
        for (int lane = 0; lane < kLanes; ++lane) {
            const double er = 0.5 * (z.re[k][lane] + z.re[mirror][lane]), ei = 0.5 * (z.im[k][lane] - z.im[mirror][lane]);
            const double odd_r = 0.5 * (z.im[k][lane] + z.im[mirror][lane]);
            const double odd_i = 0.5 * (z.re[mirror][lane] - z.re[k][lane]);
            const double tr = wr * odd_r - wi * odd_i, ti = wr * odd_i + wi * odd_r;
            const double xr = er + tr, xi = ei + ti, yr = er - tr, yi = ei - ti;
            low[lane] = xr * xr + xi * xi;
            high[lane] = yr * yr + yi * yi;
        }
    }
}

}  // namespace

void power_spectrum(FftScratch& scratch, double (*power)[kLanes]) {
    const Plan& tables = plan();
    pass_8(scratch.a, scratch.b, tables.of_200);
    pass_5_middle(scratch.b, scratch.a, tables.of_25);
    pass_5_last(scratch.a, scratch.b, tables.of_25);
    split(scratch.b, power, tables.of_400);
}

}  // namespace sqe
