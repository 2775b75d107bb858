// Linear layers by the machine's BLAS, and a check that it computes what it should.
//
// Each of Kokkos' host threads takes its own rows through the layers and calls a BLAS of one
// thread. A threaded BLAS would meet Kokkos' threads on the same cores, and wait for all of its
// own at the end of every product; on a busy machine that made it ten times slower.
#pragma once

#include <cblas.h>

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "dequantise.hpp"

/// OpenBLAS only; null with any other BLAS.
extern "C" void openblas_set_num_threads(int) __attribute__((weak));

namespace prefill {

using host_space = Kokkos::DefaultHostExecutionSpace;

/// y = x W^T + b, as the models store it: one row of W an output.
struct matrix {
  std::int64_t outputs = 0;
  std::int64_t inputs = 0;
  std::vector<float> data;
  std::vector<float> bias;  // empty: none
};

/// y (rows, outputs) = accumulate * y + x (rows, inputs) W^T + b, on the calling thread.
inline void apply(matrix const& w, float const* x, std::int64_t rows, float* y,
                  float accumulate = 0) {
  auto const m = int(rows), n = int(w.outputs), k = int(w.inputs);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1.0F, x, k, w.data.data(), k,
              accumulate, y, n);
  for (std::int64_t r = 0; r < (w.bias.empty() ? 0 : rows); ++r)
    for (std::int64_t i = 0; i < w.outputs; ++i) y[r * w.outputs + i] += w.bias[std::size_t(i)];
}

/// body(begin, rows) for chunks of up to `chunk` of `count` rows, each on one thread.
template <class Body>
void in_chunks(char const* label, std::int64_t count, std::int64_t chunk, Body const& body) {
  Kokkos::RangePolicy<host_space, Kokkos::Schedule<Kokkos::Dynamic>> const policy(
      0, (count + chunk - 1) / chunk, Kokkos::ChunkSize(1));
  Kokkos::parallel_for(label, policy, [=](std::int64_t i) {
    body(i * chunk, std::min(chunk, count - i * chunk));
  });
  host_space().fence(label);
}

inline std::vector<float> read_tensor(gguf const& file, std::string const& name,
                                      std::int64_t count) {
  gguf_tensor const& stored = file.tensor(name);
  auto const [block, size] = layout_of(stored.type);
  std::int64_t elements = 1;
  for (auto const extent : stored.extents) elements *= extent;
  if (elements != count || std::size_t(stored.extents[0]) % block != 0)
    file.fail("its tensor '" + name + "' has " + std::to_string(elements) + " elements where " +
              std::to_string(count) + " are expected");
  std::vector<float> result(std::size_t(count), 0.0F);
  auto const bytes = file.bytes(stored, std::size_t(count) / block * size);
  // Whole blocks never cross a row, so rows can be taken apart.
  auto const row = std::size_t(stored.extents[0]);
  float* const out = result.data();
  auto const type = stored.type;
  in_chunks("prefill: dequantise", std::int64_t(result.size() / row), 64,
            [=](std::int64_t begin, std::int64_t rows) {
              auto const first = std::size_t(begin) * row;
              dequantise(type, bytes.substr(first / block * size), out + first,
                         std::size_t(rows) * row);
            });
  return result;
}

inline matrix read_matrix(gguf const& file, std::string const& name, std::int64_t outputs,
                          std::int64_t inputs) {
  matrix w{outputs, inputs, read_tensor(file, name + ".weight", outputs * inputs), {}};
  if (file.has_tensor(name + ".bias")) w.bias = read_tensor(file, name + ".bias", outputs);
  return w;
}

/// Where there is one host thread only (CUDA over Serial, say), BLAS keeps its own.
inline void prepare_blas() {
  if (host_space().concurrency() > 1 && openblas_set_num_threads) openblas_set_num_threads(1);
}

/// Some old OpenBLAS builds compute wrong products on processors newer than they are; with one of
/// them every number of this program would be nonsense.
inline void check_blas() {
  constexpr int m = 96, n = 130, k = 200;  // several of any BLAS' register tiles, with remainders
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> x(m * k), y(m * n, 0.0F);
  matrix w{n, k, std::vector<float>(n * k), {}};
  for (auto& e : x) e = uniform(random);
  for (auto& e : w.data) e = uniform(random);
  apply(w, x.data(), m, y.data());
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j) {
      double sum = 0;
      for (int c = 0; c < k; ++c) sum += double(x[i * k + c]) * w.data[j * k + c];
      if (!(std::abs(sum - y[i * n + j]) < 1e-3))
        throw std::runtime_error(
            "this machine's BLAS computes wrong products: cblas_sgemm gives " +
            std::to_string(y[i * n + j]) + " where a plain loop gives " + std::to_string(sum) +
            ". With an old OpenBLAS, try OPENBLAS_CORETYPE=Haswell, or install a newer BLAS");
    }
}

}  // namespace prefill
