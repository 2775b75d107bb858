// The oracle: plain loops over the formulas of docs/interface. It shares no header and no idea with
// the library; masks are predicates over (batch, query head, position, key), see oracle_masks.hpp.
//
// Real = double (long double for double elements) gives the truth; Real = float gives the plain
// same-precision implementation whose error sets the tolerance (see compare.hpp).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

namespace oracle {

using integer = std::int64_t;
using predicate = std::function<bool(int batch, int head, integer position, integer key)>;

template <class Real> struct tensor {  // (batch, token, head, element), contiguous
  integer batches = 0, tokens = 0, heads = 0, size = 0;
  std::vector<Real> values;

  tensor() = default;
  tensor(integer batches, integer tokens, integer heads, integer size, Real fill = 0)
      : batches(batches),
        tokens(tokens),
        heads(heads),
        size(size),
        values(static_cast<std::size_t>(batches * tokens * heads * size), fill) {}

  Real* row(integer batch, integer token, integer head) {
    return values.data() + ((batch * tokens + token) * heads + head) * size;
  }
  const Real* row(integer batch, integer token, integer head) const {
    return values.data() + ((batch * tokens + token) * heads + head) * size;
  }
  Real& operator()(integer batch, integer token, integer head, integer element) {
    return row(batch, token, head)[element];
  }
  Real operator()(integer batch, integer token, integer head, integer element) const {
    return row(batch, token, head)[element];
  }
  template <class Other> tensor<Other> as() const {
    tensor<Other> other(batches, tokens, heads, size);
    for (std::size_t i = 0; i < values.size(); ++i) other.values[i] = static_cast<Other>(values[i]);
    return other;
  }
};

struct parameters {
  std::optional<double> scale = {};          // d^-1/2 unless given
  double softcap = 0;                        // 0: none
  std::optional<integer> query_offset = {};  // keys - queries unless given
  std::vector<float> sink_logits = {};       // empty: none
  // What a row's weight, relative to that of its largest score, becomes before it meets the
  // values; as it is if null. For the plain implementation of what has 16-bit weights there.
  double (*weight)(double) = nullptr;
};

enum class correction { none, recompute, delta };

struct delta_parameters {
  integer stride = 64;
  oracle::correction correction = oracle::correction::delta;
  integer average = 1;
  std::optional<integer> tail = {};
};

template <class Real> struct state {
  tensor<Real> out;  // (batch, query, head, dv)
  tensor<Real> lse;  // (batch, query, head, 1)
  // The largest scale * sum |q_e k_e|: what roundings of scores are relative to.
  double largest_score = 0;
};

inline integer floor_divide(integer a, integer b) {
  return a >= 0 ? a / b : -((-a + b - 1) / b);
}

inline integer offset_of(const parameters& options, integer queries, integer keys) {
  return options.query_offset.value_or(keys - queries);
}

inline integer tail_of(const delta_parameters& method, integer queries) {
  if (method.correction == correction::none) return 0;
  return method.tail.value_or(queries % method.stride + std::max<integer>(128, method.stride));
}

// One row of attention over the keys that `visible` lists. Two passes: scores, then the weighted
// sum.
template <class Real>
void attention_row(const tensor<Real>& q, const tensor<Real>& k, const tensor<Real>& v,
                   integer batch, integer query, integer head, const std::vector<integer>& visible,
                   const parameters& options, std::vector<Real>& scores, Real* out, Real& lse,
                   double& largest_score) {
  const integer kv_head = head / (q.heads / k.heads);
  const Real infinity = std::numeric_limits<Real>::infinity();
  for (integer e = 0; e < v.size; ++e) out[e] = 0;
  lse = -infinity;
  if (visible.empty()) return;

  const Real scale = static_cast<Real>(options.scale ? *options.scale
                                                     : 1 / std::sqrt(static_cast<double>(q.size)));
  const Real cap = static_cast<Real>(options.softcap);
  const Real* a = q.row(batch, query, head);
  const integer size = q.size, value_size = v.size;
  scores.resize(visible.size());
  Real largest = -infinity;
  for (std::size_t n = 0; n < visible.size(); ++n) {
    const Real* b = k.row(batch, visible[n], kv_head);
    Real dot = 0, magnitude = 0;
    for (integer e = 0; e < size; ++e) {
      dot += a[e] * b[e];
      magnitude += std::fabs(a[e] * b[e]);
    }
    Real score = scale * dot;
    largest_score = std::max(largest_score, static_cast<double>(std::fabs(scale) * magnitude));
    if (cap != 0) score = cap * std::tanh(score / cap);
    scores[n] = score;
    largest = std::max(largest, score);
  }
  Real sum = 0;
  const Real largest_of_keys = largest;
  if (!options.sink_logits.empty()) {
    const Real logit = options.sink_logits[static_cast<std::size_t>(head)];
    largest = std::max(largest, logit);
    sum = std::exp(logit - largest);
  }
  const Real share = std::exp(largest_of_keys - largest);
  for (std::size_t n = 0; n < visible.size(); ++n) {
    Real weight = std::exp(scores[n] - largest);
    const Real* b = v.row(batch, visible[n], kv_head);
    sum += weight;
    if (options.weight)
      weight = share * static_cast<Real>(options.weight(
                           static_cast<double>(std::exp(scores[n] - largest_of_keys))));
#pragma omp simd
    for (integer e = 0; e < value_size; ++e) out[e] += weight * b[e];
  }
  for (integer e = 0; e < value_size; ++e) out[e] /= sum;
  lse = largest + std::log(sum);
}

// Rows for which `wanted` holds; the others stay 0 and -inf.
template <class Real>
state<Real> attention_of(const tensor<Real>& q, const tensor<Real>& k, const tensor<Real>& v,
                         const predicate& mask, const parameters& options,
                         const std::function<bool(integer query)>& wanted) {
  state<Real> result{
      tensor<Real>(q.batches, q.tokens, q.heads, v.size),
      tensor<Real>(q.batches, q.tokens, q.heads, 1, -std::numeric_limits<Real>::infinity())};
  const integer offset = offset_of(options, q.tokens, k.tokens);
  const integer rows = q.batches * q.tokens * q.heads;
  double largest_score = 0;
#pragma omp parallel reduction(max \
                               : largest_score) if (rows * k.tokens * (q.size + v.size) > 100000)
  {
    std::vector<integer> visible;
    std::vector<Real> scores;
#pragma omp for schedule(dynamic, 16)
    for (integer r = 0; r < rows; ++r) {
      const integer head = r % q.heads, query = r / q.heads % q.tokens,
                    batch = r / q.heads / q.tokens;
      if (!wanted(query)) continue;
      visible.clear();
      for (integer key = 0; key < k.tokens; ++key)
        if (mask(static_cast<int>(batch), static_cast<int>(head), query + offset, key))
          visible.push_back(key);
      attention_row(q, k, v, batch, query, head, visible, options, scores,
                    result.out.row(batch, query, head), *result.lse.row(batch, query, head),
                    largest_score);
    }
  }
  result.largest_score = largest_score;
  return result;
}

template <class Real>
state<Real> attention(const tensor<Real>& q, const tensor<Real>& k, const tensor<Real>& v,
                      const predicate& mask, const parameters& options = {}) {
  return attention_of(q, k, v, mask, options, [](integer) { return true; });
}

// What a row of delta_attention is. Anchors are positions 0, g, 2g, ...: none is negative.
inline bool is_dense(integer query, integer offset, integer queries,
                     const delta_parameters& method) {
  if (method.correction == correction::none) return false;
  const integer position = query + offset;
  return query >= queries - tail_of(method, queries) ||
         (position >= 0 && position % method.stride == 0);
}

// The keys that a call of delta_attention may read for a row: what poison must leave alone.
inline predicate delta_reads(const predicate& mask, const parameters& options,
                             const delta_parameters& method, integer queries, integer keys) {
  const integer offset = offset_of(options, queries, keys);
  return [=](int batch, int head, integer position, integer key) {
    return key <= position && (is_dense(position - offset, offset, queries, method) ||
                               mask(batch, head, position, key));
  };
}

template <class Real>
state<Real> delta(const tensor<Real>& q, const tensor<Real>& k, const tensor<Real>& v,
                  const predicate& mask, const delta_parameters& method,
                  const parameters& options = {}) {
  const integer offset = offset_of(options, q.tokens, k.tokens), queries = q.tokens;
  const predicate causal = [](int, int, integer position, integer key) { return key <= position; };
  const predicate sparse_mask = [&mask](int batch, int head, integer position, integer key) {
    return key <= position && mask(batch, head, position, key);
  };
  state<Real> result = attention(q, k, v, sparse_mask, options);
  if (method.correction == correction::none) return result;
  const state<Real> sparse = result;
  const auto dense_row = [&](integer query) { return is_dense(query, offset, queries, method); };
  const state<Real> dense = attention_of(q, k, v, causal, options, dense_row);
  result.largest_score = std::max(sparse.largest_score, dense.largest_score);

  for (integer batch = 0; batch < q.batches; ++batch)
    for (integer query = 0; query < queries; ++query)
      for (integer head = 0; head < q.heads; ++head) {
        Real* out = result.out.row(batch, query, head);
        if (dense_row(query)) {
          for (integer e = 0; e < v.size; ++e) out[e] = dense.out(batch, query, head, e);
          result.lse(batch, query, head, 0) = dense.lse(batch, query, head, 0);
          continue;
        }
        const integer anchor = floor_divide(query + offset, method.stride) * method.stride;
        if (method.correction != correction::delta || anchor < 0) continue;
        // Mean over the anchors of this call: the last `average` of them, fewer at its start.
        for (integer e = 0; e < v.size; ++e) {
          Real sum = 0;
          integer count = 0;
          for (integer n = 0; n < method.average; ++n) {
            const integer a = anchor - n * method.stride - offset;
            if (a < 0 || a + offset < 0) break;
            sum += dense.out(batch, a, head, e) - sparse.out(batch, a, head, e);
            ++count;
          }
          if (count > 0) out[e] += sum / static_cast<Real>(count);
        }
      }
  return result;
}

// Two states over disjoint keys into the state over all of them. -inf: saw nothing.
template <class Real> state<Real> merge(const state<Real>& a, const state<Real>& b) {
  state<Real> result = a;
  for (integer batch = 0; batch < a.out.batches; ++batch)
    for (integer query = 0; query < a.out.tokens; ++query)
      for (integer head = 0; head < a.out.heads; ++head) {
        const Real la = a.lse(batch, query, head, 0), lb = b.lse(batch, query, head, 0);
        const Real largest = std::max(la, lb);
        if (largest == -std::numeric_limits<Real>::infinity()) {
          for (integer e = 0; e < a.out.size; ++e) result.out(batch, query, head, e) = 0;
          continue;
        }
        const Real wa = std::exp(la - largest), wb = std::exp(lb - largest), sum = wa + wb;
        for (integer e = 0; e < a.out.size; ++e) {
          const Real x = wa == 0 ? 0 : wa * a.out(batch, query, head, e);
          const Real y = wb == 0 ? 0 : wb * b.out(batch, query, head, e);
          result.out(batch, query, head, e) = (x + y) / sum;
        }
        result.lse(batch, query, head, 0) = largest + std::log(sum);
      }
  return result;
}

// Compiled once, in support/oracle.cpp.
#define DELTA_ATTENTION_ORACLE(prefix, Real)                                                       \
  prefix template state<Real> attention_of(                                                        \
      const tensor<Real>&, const tensor<Real>&, const tensor<Real>&, const predicate&,             \
      const parameters&, const std::function<bool(integer)>&);                                     \
  prefix template state<Real> delta(const tensor<Real>&, const tensor<Real>&, const tensor<Real>&, \
                                    const predicate&, const delta_parameters&, const parameters&); \
  prefix template state<Real> merge(const state<Real>&, const state<Real>&);
DELTA_ATTENTION_ORACLE(extern, float)
DELTA_ATTENTION_ORACLE(extern, double)
DELTA_ATTENTION_ORACLE(extern, long double)

}  // namespace oracle
