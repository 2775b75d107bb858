// One problem twice: as the oracle's tensors, and as Kokkos Views of a chosen layout in the memory
// of an execution space, surrounded by guards.
#pragma once

#include <Kokkos_Core.hpp>
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <sstream>
#include <string>
#include <utility>

#include "oracle.hpp"
#include "spaces.hpp"

using oracle::integer;

struct shape {
  integer batches = 1, queries = 1, keys = 1, query_heads = 1, kv_heads = 1, size = 32,
          value_size = 32;
};

/// How a (batch, token, head, element) tensor lies in memory.
enum class layout {
  tokens_first,  // contiguous in that order
  heads_first,   // contiguous as (batch, head, token, element)
  fused,         // every third token of a tensor: as q, k or v in one tensor of all three
  padded,        // tokens_first inside a larger tensor: odd gaps after every extent
  cache,         // heads_first inside a larger tensor: room for whole tiles of tokens and channels
};

inline std::string describe(const shape& s) {
  std::ostringstream text;
  text << "batches " << s.batches << " queries " << s.queries << " keys " << s.keys << " heads "
       << s.query_heads << "/" << s.kv_heads << " d " << s.size << " dv " << s.value_size;
  return text.str();
}

/// A rank-4 tensor in device memory, with everything that is not an element poisoned. tokens_first
/// has no guards around it: address sanitizers see what reads beyond its ends. Rows of padded are
/// aligned to nothing, those of the others to 16 bytes where 8 elements are.
template <class Exec, class Element> class buffer {
  using traits = element_traits<Element>;
  using storage_view = Kokkos::View<Element*, typename Exec::memory_space>;

 public:
  using view_type = Kokkos::View<Element****, Kokkos::LayoutStride, typename Exec::memory_space>;

  buffer() = default;
  buffer(integer batches, integer tokens, integer heads, integer size, layout where)
      : extents_{batches, tokens, heads, size},
        guard_(where == layout::tokens_first ? 0
               : where == layout::padded     ? 67
               : where == layout::cache      ? 300 * (size + 64)
                                             : 64) {
    switch (where) {
      case layout::tokens_first:
        strides_ = {tokens * heads * size, heads * size, size, 1};
        break;
      case layout::heads_first:
        strides_ = {heads * tokens * size, size, tokens * size, 1};
        break;
      case layout::fused:
        strides_ = {3 * tokens * heads * size, 3 * heads * size, size, 1};
        break;
      case layout::padded: {
        const integer head = size + 5, token = heads * head + 3;
        strides_ = {tokens * token + 7, token, head, 1};
        break;
      }
      case layout::cache: {
        const integer token = size + 64, head = (tokens + 300) * token;
        strides_ = {heads * head, token, head, 1};
        break;
      }
    }
    integer span = 1;
    for (int r = 0; r < 4; ++r) span += (extents_[r] - 1) * strides_[r];
    if (batches * tokens * heads * size == 0) span = 0;
    storage_ = storage_view("test buffer", static_cast<std::size_t>(span + 2 * guard_));
    host_ = Kokkos::create_mirror_view(Kokkos::HostSpace{}, storage_);
    poison();
  }

  view_type view() const {
    std::array<std::size_t, 4> n{}, s{};
    for (int r = 0; r < 4; ++r)
      n[r] = static_cast<std::size_t>(extents_[r]), s[r] = static_cast<std::size_t>(strides_[r]);
    return view_type(storage_.data() + guard_,
                     Kokkos::LayoutStride(n[0], s[0], n[1], s[1], n[2], s[2], n[3], s[3]));
  }

  void poison() {
    for (std::size_t i = 0; i < host_.extent(0); ++i) host_(i) = poison_value();
    Kokkos::deep_copy(storage_, host_);
  }

  template <class Real> void upload(const oracle::tensor<Real>& values) {
    each([&](integer b, integer t, integer h, integer e, std::size_t at) {
      host_(at) = traits::from(static_cast<double>(values(b, t, h, e)));
    });
    Kokkos::deep_copy(storage_, host_);
  }

  oracle::tensor<double> download() {
    Kokkos::deep_copy(host_, storage_);
    oracle::tensor<double> values(extents_[0], extents_[1], extents_[2], extents_[3]);
    each([&](integer b, integer t, integer h, integer e, std::size_t at) {
      values(b, t, h, e) = traits::to(host_(at));
    });
    return values;
  }

  /// After a download: is everything beside the elements as it was? With `elements`, these too.
  bool untouched(bool elements = false) {
    std::vector<char> inside(host_.extent(0), 0);
    if (!elements)
      each([&](integer, integer, integer, integer, std::size_t at) { inside[at] = 1; });
    const Element expected = poison_value();
    for (std::size_t i = 0; i < inside.size(); ++i)
      if (!inside[i] && std::memcmp(&host_(i), &expected, sizeof(Element)) != 0) return false;
    return true;
  }

 private:
  static Element poison_value() { return traits::from(std::numeric_limits<double>::quiet_NaN()); }

  template <class Function> void each(Function function) {
    for (integer b = 0; b < extents_[0]; ++b)
      for (integer t = 0; t < extents_[1]; ++t)
        for (integer h = 0; h < extents_[2]; ++h)
          for (integer e = 0; e < extents_[3]; ++e)
            function(b, t, h, e,
                     static_cast<std::size_t>(guard_ + b * strides_[0] + t * strides_[1] +
                                              h * strides_[2] + e));
  }

  std::array<integer, 4> extents_{}, strides_{};
  integer guard_ = 0;
  storage_view storage_;
  typename Kokkos::View<Element*, Kokkos::HostSpace> host_;
};

template <class Exec, class Element> struct problem {
  using traits = element_traits<Element>;
  using truth = typename traits::truth;
  using memory_space = typename Exec::memory_space;

  Exec exec;
  shape sizes;
  oracle::parameters options;
  oracle::tensor<truth> q, k, v;  // already rounded to Element
  buffer<Exec, Element> q_buffer, k_buffer, v_buffer, out_buffer;
  Kokkos::View<statistic<Element>***, memory_space> lse;
  Kokkos::View<float*, memory_space> sink_logits;

  explicit problem(const shape& s, oracle::parameters parameters = {}, unsigned seed = 1,
                   layout where = layout::tokens_first, Exec instance = Exec())
      : exec(std::move(instance)),
        sizes(s),
        options(std::move(parameters)),
        q(s.batches, s.queries, s.query_heads, s.size),
        k(s.batches, s.keys, s.kv_heads, s.size),
        v(s.batches, s.keys, s.kv_heads, s.value_size),
        q_buffer(s.batches, s.queries, s.query_heads, s.size, where),
        k_buffer(s.batches, s.keys, s.kv_heads, s.size, where),
        v_buffer(s.batches, s.keys, s.kv_heads, s.value_size, where),
        out_buffer(s.batches, s.queries, s.query_heads, s.value_size, where),
        lse("lse", s.batches, s.queries, s.query_heads) {
    std::mt19937 engine(seed);
    for (auto* tensor : {&q, &k, &v}) fill(*tensor, engine);
    set_sink_logits();
  }

  integer offset() const { return oracle::offset_of(options, sizes.queries, sizes.keys); }

  void set_sink_logits() {
    sink_logits = {};
    if (options.sink_logits.empty()) return;
    sink_logits = Kokkos::View<float*, memory_space>("sink logits", options.sink_logits.size());
    const auto host = Kokkos::create_mirror_view(sink_logits);
    for (std::size_t h = 0; h < options.sink_logits.size(); ++h) host(h) = options.sink_logits[h];
    Kokkos::deep_copy(sink_logits, host);
  }

  truth poison = std::numeric_limits<truth>::quiet_NaN();

  /// Poison wherever no row reads: keys and values by kv head.
  void poison_unread(const oracle::predicate& reads) {
    const integer group = sizes.query_heads / sizes.kv_heads;
#pragma omp parallel for collapse(3) schedule(dynamic, 16)
    for (integer b = 0; b < sizes.batches; ++b)
      for (integer h = 0; h < sizes.kv_heads; ++h)
        for (integer j = 0; j < sizes.keys; ++j) {
          bool read = false;
          for (integer head = h * group; head < (h + 1) * group && !read; ++head)
            for (integer i = sizes.queries; i-- > 0 && !read;)
              read = reads(static_cast<int>(b), static_cast<int>(head), i + offset(), j);
          if (read) continue;
          for (integer e = 0; e < sizes.size; ++e) k(b, j, h, e) = poison;
          for (integer e = 0; e < sizes.value_size; ++e) v(b, j, h, e) = poison;
        }
  }

  /// Inputs to the device, outputs poisoned.
  void upload() {
    q_buffer.upload(q);
    k_buffer.upload(k);
    v_buffer.upload(v);
    out_buffer.poison();
    Kokkos::deep_copy(lse, std::numeric_limits<statistic<Element>>::quiet_NaN());
    Kokkos::fence("test: inputs are ready");
  }

  oracle::tensor<double> download_lse() const {
    const auto host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace{}, lse);
    oracle::tensor<double> values(sizes.batches, sizes.queries, sizes.query_heads, 1);
    for (integer b = 0; b < sizes.batches; ++b)
      for (integer i = 0; i < sizes.queries; ++i)
        for (integer h = 0; h < sizes.query_heads; ++h) values(b, i, h, 0) = host(b, i, h);
    return values;
  }

 private:
  static void fill(oracle::tensor<truth>& tensor, std::mt19937& engine) {
    std::normal_distribution<float> normal;
    for (truth& value : tensor.values) value = traits::to(traits::from(normal(engine)));
  }
};

// Compiled once, in support/problem.cpp.
#define DELTA_ATTENTION_PROBLEM(prefix, Element)                        \
  prefix template class buffer<Kokkos::DefaultExecutionSpace, Element>; \
  prefix template struct problem<Kokkos::DefaultExecutionSpace, Element>;
DELTA_ATTENTION_PROBLEM(extern, float)
DELTA_ATTENTION_PROBLEM(extern, double)
DELTA_ATTENTION_PROBLEM(extern, da::float16)
DELTA_ATTENTION_PROBLEM(extern, da::bfloat16)
