// delta_attention_bench_gpu times attention on an NVIDIA or AMD GPU for bench/targets-gpu and
// bench/report; it reads lines,
//   METHOD/bfloat16/nTOKENS/dSIZE/hHEADS/kvHEADS   time a sample of calls
//   context                                        what runs here, as JSON
//   free                                           free all tensors
// and answers each with one:
//   SECONDS RMS QUEUED   of a call on the stream; of what it wrote; 1 where the host was ahead of
//                        the GPU all the time, so that its speed does not count
//   error WORDS
#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>

#include "methods.hpp"
#include "runtime.hpp"

namespace bench {

namespace {

struct method {
  const char* name;
  prepared (*prepare)(const tensors&);
  std::int64_t queries;  // 0: as many as keys
};
constexpr method methods[] = {{"dense", dense, 0},
#if defined(KOKKOS_ENABLE_CUDA)
                              {"dense_mma_sync", dense_mma_sync, 0},
#endif
#if defined(DELTA_ATTENTION_HAS_WGMMA)
                              {"products", products, 0},
#endif
                              {"sinks1024_window2048", sink_window, 0},
                              {"anchors64", anchors, 0},
                              {"delta64", delta, 0},
                              {"delta256_average16", delta_averaged, 0},
                              {"decode", dense, 1},
                              {"rows16", dense, 16}};

struct shape {
  std::int64_t queries, tokens;
  int head_size, heads, kv_heads;
  auto operator<=>(const shape&) const = default;
};

/// Normally distributed, mean 0 and variance 1.
void fill(const execution_space& exec, const tensor4& x, std::uint64_t seed) {
  da::bfloat16* data = x.data();
  Kokkos::parallel_for(
      "bench::fill",
      Kokkos::RangePolicy<execution_space, Kokkos::IndexType<std::int64_t>>(exec, 0, x.size()),
      KOKKOS_LAMBDA(std::int64_t i) {
        std::uint64_t bits = (seed << 48) + static_cast<std::uint64_t>(i) + 0x9e3779b97f4a7c15U;
        bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9U;
        bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebU;
        bits ^= bits >> 31;
        const float u = (static_cast<float>(bits >> 40) + 0.5F) * 0x1p-24F,
                    angle = static_cast<float>(bits & 0xffffffU) * 0x1p-24F;
        data[i] =
            da::bfloat16(Kokkos::sqrt(-2.0F * Kokkos::log(u)) * Kokkos::cos(6.2831853F * angle));
      });
}

tensors make(const shape& s) {
  const auto tensor = [](const std::string& label, std::int64_t tokens, int heads, int d) {
    return tensor4(Kokkos::view_alloc(label, Kokkos::WithoutInitializing), 1, tokens, heads, d);
  };
  tensors t{{},
            tensor("q", s.queries, s.heads, s.head_size),
            tensor("k", s.tokens, s.kv_heads, s.head_size),
            tensor("v", s.tokens, s.kv_heads, s.head_size),
            tensor("out", s.queries, s.heads, s.head_size)};
  fill(t.exec, t.q, 1);
  fill(t.exec, t.k, 2);
  fill(t.exec, t.v, 3);
  return t;
}

/// Keeps the stream busy, while the host enqueues what is timed.
__global__ void wait_for(std::int64_t ticks) {
  const std::int64_t end = ticks_now() + ticks;
  while (ticks_now() < end) {
  }
}
void hold(const execution_space& exec) {
  static const std::int64_t ten_milliseconds = 10 * ticks_of_a_millisecond();
  wait_for<<<1, 1, 0, stream_of(exec)>>>(ten_milliseconds);
}

class stopwatch {
 public:
  explicit stopwatch(const execution_space& exec) : exec_(exec) {
    check(GPU(EventCreate)(&start_));
    check(GPU(EventCreate)(&stop_));
  }
  stopwatch(const stopwatch&) = delete;
  stopwatch& operator=(const stopwatch&) = delete;
  ~stopwatch() {
    (void)GPU(EventDestroy)(start_);
    (void)GPU(EventDestroy)(stop_);
  }

  struct times {
    double seconds;  // of a call
    bool queued;
  };
  times run(const std::function<void()>& call, int calls) const {
    if (calls > 1) hold(exec_);
    check(GPU(EventRecord)(start_, stream_of(exec_)));
    for (int i = 0; i < calls; ++i) call();
    check(GPU(EventRecord)(stop_, stream_of(exec_)));
    const bool queued = calls == 1 || GPU(EventQuery)(start_) == GPU(ErrorNotReady);
    (void)GPU(GetLastError)();  // or the next launch takes "not ready" for a failure of its own
    check(GPU(EventSynchronize)(stop_));
    float ms = 0;
    check(GPU(EventElapsedTime)(&ms, start_, stop_));
    return {1e-3 * ms / calls, queued};
  }

 private:
  execution_space exec_;
  GPU(Event_t) start_{}, stop_{};
};

/// A case with its tensors, called twice already.
struct timed_case {
  prepared work;
  double rms;
  int calls;  // in a sample: 30 ms, unless the host could not enqueue them while `hold` runs
};

class server {
 public:
  std::string answer(const std::string& line) {
    if (line == "free") {
      cases_.clear();
      tensors_.clear();
      return "freed";
    }
    if (line == "context") return context();
    const timed_case& c = find(line);
    const auto [seconds, queued] = stopwatch(execution_space()).run(c.work.call, c.calls);
    std::ostringstream words;
    words << seconds << ' ' << c.rms << ' ' << queued;
    return words.str();
  }

 private:
  const timed_case& find(const std::string& name) {
    const auto found = cases_.find(name);
    if (found != cases_.end()) return found->second;
    char word[64];
    long long tokens = 0;
    shape s{};
    if (std::sscanf(name.c_str(), "%63[^/]/bfloat16/n%lld/d%d/h%d/kv%d", word, &tokens,
                    &s.head_size, &s.heads, &s.kv_heads) == 5)
      for (const method& m : methods)
        if (m.name == std::string(word)) {
          s.tokens = tokens;
          s.queries = m.queries == 0 ? tokens : m.queries;
          const tensors& t = of_shape(s);
          // To NaN: what a call forgets shows.
          check(GPU(Memset)(t.out.data(), 0xff, t.out.size() * sizeof(da::bfloat16)));
          return cases_[name] = warmed_up(m.prepare(t));
        }
    throw std::invalid_argument("no case: " + name);
  }
  const tensors& of_shape(const shape& s) {
    const auto found = tensors_.find(s);
    return found != tensors_.end() ? found->second : tensors_[s] = make(s);
  }
  static timed_case warmed_up(prepared work) {
    const stopwatch watch{execution_space()};
    work.call();
    const double seconds = watch.run(work.call, 1).seconds, rms = work.rms();
    return {std::move(work), rms, static_cast<int>(std::clamp(0.03 / seconds, 1.0, 100.0))};
  }

  std::string context() {
    std::ostringstream kokkos, json;
    Kokkos::print_configuration(kokkos);
    const auto quoted = [&](const std::string& text) {
      json << '"';
      for (const char c : text)
        if (c == '\n')
          json << "\\n";
        else
          json << (c == '"' || c == '\\' ? "\\" : "") << c;
      json << '"';
    };
    json << "{\"device\": ";
    quoted(device_name(execution_space()));
    json << ", \"compiler\": ";
    quoted(compiler());
    json << ", \"kokkos\": ";
    quoted(kokkos.str());
    const auto path = [&](std::int64_t queries, std::int64_t tokens) {
      quoted(describe_dense(of_shape({queries, tokens, 128, 32, 8})));
    };
    json << ", \"path\": ";
    path(1024, 1024);
    json << ", \"path_few_rows\": ";
    path(16, 1024);
    json << '}';
    return json.str();
  }

  std::map<shape, tensors> tensors_;
  std::map<std::string, timed_case> cases_;
};

}  // namespace

}  // namespace bench

int main(int argc, char** argv) try {
  if (argc > 1) {
    std::puts("delta_attention_bench_gpu: answers lines on stdin; see bench/README.md");
    return 0;
  }
  const Kokkos::ScopeGuard kokkos(argc, argv);
  bench::server server;
  for (std::string line; std::getline(std::cin, line);) {
    std::string answer;
    try {
      answer = server.answer(line);
    } catch (const std::exception& failure) {
      answer = std::string("error ") + failure.what();
      std::replace(answer.begin(), answer.end(), '\n', ' ');
    }
    std::cout << answer << std::endl;
  }
} catch (const std::exception& failure) {  // no GPU, say
  std::cerr << failure.what() << '\n';
  return 1;
}
