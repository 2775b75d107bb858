// The emulator itself: each of its checks catches the error that it is for, correct kernels pass,
// and NVIDIA's instructions are those of the PTX ISA.
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "emulation/cuda_lane.hpp"
#include "test_emulation/runs.hpp"

namespace {

using Catch::Matchers::ContainsSubstring;
using emulation::block;
using emulation::cuda_lane;
using emulation::cuda::words4;
using emulation_test::error_on;
using emulation_test::run_on;

constexpr int shared_bytes = 4096;

template <class Kernel> void run(const Kernel& kernel) {
  run_on<cuda_lane>(kernel, shared_bytes);
}
template <class Kernel> std::string error_of(const Kernel& kernel) {
  return error_on<cuda_lane>(kernel, shared_bytes);
}
template <class Kernel> void caught(const Kernel& kernel, const std::string& words) {
  const std::string said = error_of(kernel);
  CHECK_THAT(said, ContainsSubstring(words));
}

}  // namespace

TEST_CASE("emulation: a neighbour's word after a barrier", "[emulation]") {
  std::vector<int> got(64, -1);
  run([&](const cuda_lane& lane) {
    for (int round = 0; round < 3; ++round) {
      lane.shared_store(4 * lane.thread(), 100 * round + lane.thread());
      lane.barrier();
      got[static_cast<std::size_t>(lane.thread())] =
          lane.shared_load<int>(4 * ((lane.thread() + 33) % 64));
      lane.barrier();
    }
  });
  for (int t = 0; t < 64; ++t) CHECK(got[static_cast<std::size_t>(t)] == 200 + (t + 33) % 64);
}

TEST_CASE("emulation: races between barriers", "[emulation]") {
  caught(
      [](const cuda_lane& lane) {
        lane.shared_store(4 * lane.thread(), 1);
        lane.shared_load<int>(4 * (lane.thread() ^ 1));
      },
      "shared memory");  // by luck of the order: a race, or not written yet
  caught(
      [](const cuda_lane& lane) {
        lane.shared_store(4 * lane.thread(), 1);
        lane.barrier();
        lane.shared_load<int>(4 * (lane.thread() ^ 32));
        lane.shared_store(4 * lane.thread(), 2);
      },
      "race");
  caught([](const cuda_lane& lane) { lane.shared_store(4 * (lane.thread() / 2), 1); },
              "and so has thread");
  // Overlapping bytes are enough; neighbouring halves of a word are no race.
  caught(
      [](const cuda_lane& lane) {
        if (lane.thread() == 0) lane.shared_store(0, 1);
        if (lane.thread() == 40) lane.shared_store(2, std::uint16_t(1));
      },
      "and so has thread");
  CHECK_NOTHROW(run([](const cuda_lane& lane) {
    lane.shared_store(2 * lane.thread(), std::uint16_t(1));
    lane.shared_load<std::uint16_t>(2 * lane.thread());
  }));
}

TEST_CASE("emulation: places in shared memory", "[emulation]") {
  caught([](const cuda_lane& lane) { lane.shared_store(shared_bytes - 4, words4{}); },
              "out of bounds: bytes 4092 to 4107 of 4096");
  caught([](const cuda_lane& lane) { lane.shared_load<int>(-4); }, "out of bounds");
  caught([](const cuda_lane& lane) { lane.shared_store(16 * lane.thread() + 8, words4{}); },
              "misaligned");
  caught([](const cuda_lane& lane) { lane.shared_load<int>(0); }, "uninitialised");
  caught(
      [](const cuda_lane& lane) {
        if (lane.thread() < 63) lane.shared_store(4 * lane.thread(), 0);
        lane.barrier();
        lane.shared_load<words4>(16 * (lane.thread() % 16));
      },
      "uninitialised");
  block elsewhere(1, cuda_lane::lanes, shared_bytes);
  elsewhere.origin = 3 * cuda_lane::alignment;
  const auto first_and_last = [](const emulation::team& t) {
    const cuda_lane lane(t, shared_bytes);
    if (lane.thread() == 0) lane.shared_store(lane.origin(), 1);
    if (lane.thread() == 1) lane.shared_store(lane.origin() + shared_bytes - 4, 1);
  };
  CHECK_NOTHROW(emulation::run(elsewhere, 1, first_and_last));
  const auto before = [](const emulation::team& t) { cuda_lane(t, 0).shared_store(3068, 1); };
  CHECK_THROWS_AS(emulation::run(elsewhere, 1, before), emulation::failure);
  block small(2, cuda_lane::lanes, 512);
  const auto kernel = [](const emulation::team& t) { cuda_lane(t, 513); };
  CHECK_THROWS_AS(emulation::run(small, 1, kernel), emulation::failure);
}

TEST_CASE("emulation: a block starts with nothing written, also after a failure", "[emulation]") {
  block where(1, cuda_lane::lanes, shared_bytes);
  const auto reads = [](const emulation::team& t) {
    cuda_lane(t, shared_bytes).shared_load<int>(0);
  };
  const auto writes = [](const emulation::team& t) {
    const cuda_lane lane(t, shared_bytes);
    lane.shared_store(4 * lane.thread(), t.league_rank());
    lane.barrier();
  };
  emulation::run(where, 2, writes);
  CHECK_THROWS_AS(emulation::run(where, 1, reads), emulation::failure);
  CHECK_NOTHROW(emulation::run(where, 2, writes));
}

TEST_CASE("emulation: what a warp keeps", "[emulation]") {
  struct thing {
    double x;
    int y[5];
  };
  const auto keep = [](const cuda_lane& lane) -> const thing& {
    return lane.keep(64 * lane.warp(), thing{1.5, {lane.warp()}});
  };
  run([&](const cuda_lane& lane) {
    const thing& kept = keep(lane);
    lane.barrier();
    if (kept.y[0] != lane.warp()) throw std::logic_error("another warp's");
    keep(lane);
  });
  caught(
      [&](const cuda_lane& lane) {
        keep(lane);
        lane.barrier();
        lane.barrier();
        if (lane.thread() == 40) lane.shared_store(16, 1);
      },
      "which thread 0 keeps");
  caught([](const cuda_lane& lane) { lane.keep(0, lane.warp()); }, "keeps");
  caught([](const cuda_lane& lane) { lane.keep(4 * lane.thread(), 1); }, "lanes keep at");
}

TEST_CASE("emulation: lanes must come together", "[emulation]") {
  caught(
      [](const cuda_lane& lane) {
        if (lane.lane() < 31) lane.shuffle_xor(1, 1);
      },
      "deadlock");
  caught(
      [](const cuda_lane& lane) {
        if (lane.thread() != 5) lane.barrier();
      },
      "deadlock: wave 0: 31 lanes at the barrier");
  caught(
      [](const cuda_lane& lane) {
        if (lane.lane() % 2 == 0)
          lane.shuffle_xor(1, 1);
        else
          lane.any(true);
      },
      "divergent");
  // The same instruction twice in the source is two instructions.
  caught(
      [](const cuda_lane& lane) {
        if (lane.lane() < 16)
          lane.any(true);
        else
          lane.any(true);
      },
      "divergent");
  caught(
      [](const cuda_lane& lane) {
        if (lane.lane() == 3)
          lane.barrier();
        else
          lane.any(true);
      },
      "deadlock");
  // Warps may part.
  CHECK_NOTHROW(run([](const cuda_lane& lane) {
    for (int i = 0; i < 3 * lane.warp(); ++i) lane.any(true);
    lane.barrier();
  }));
}

TEST_CASE("emulation: an error says who and where", "[emulation]") {
  const std::string said = error_of([](const cuda_lane& lane) {
    lane.barrier();
    if (lane.thread() == 37) lane.shared_load<int>(2);
  });
  CHECK_THAT(said, ContainsSubstring("thread 37 (wave 1, lane 5) at test_emulation.cpp:"));
  CHECK_THAT(said, ContainsSubstring("after 1 barriers"));
}

TEST_CASE("emulation: what a kernel throws comes out", "[emulation]") {
  CHECK_THROWS_AS(run([](const cuda_lane& lane) {
                    if (lane.thread() == 9) throw std::out_of_range("nine");
                  }),
                  std::out_of_range);
}

TEST_CASE("emulation: shuffle and vote", "[emulation]") {
  std::vector<float> sums(64);
  std::vector<int> votes(64);
  std::vector<std::uint32_t> ballots(64);
  run([&](const cuda_lane& lane) {
    float x = static_cast<float>(lane.thread());
    for (int mask = 1; mask < 32; mask *= 2) x += lane.shuffle_xor(x, mask);
    sums[static_cast<std::size_t>(lane.thread())] = x;
    votes[static_cast<std::size_t>(lane.thread())] = lane.any(lane.thread() == 40);
    ballots[static_cast<std::size_t>(lane.thread())] = lane.ballot(lane.thread() % 9 == 5);
  });
  for (std::size_t t = 0; t < 64; ++t) {
    CHECK(sums[t] == (t < 32 ? 496 : 496 + 1024));
    CHECK(votes[t] == (t >= 32));
    CHECK(ballots[t] == (t < 32 ? 0x00804020u : 0x08040201u));
  }
}

TEST_CASE("emulation: global memory", "[emulation]") {
  alignas(16) std::array<std::uint16_t, 64> data{};
  std::iota(data.begin(), data.end(), std::uint16_t(0));
  const auto attempt = [&](const auto& read) {
    block where(1, cuda_lane::lanes, shared_bytes);
    where.global().allow(&data[0], 32);
    where.global().allow(&data[16], 16);
    where.global().allow(&data[40], 8);
    try {
      emulation::run(where, 1, [&](const emulation::team& t) { read(cuda_lane(t, shared_bytes)); });
    } catch (const emulation::failure& f) {
      return std::string(f.what());
    }
    return std::string("fine");
  };
  const auto load = [&](auto type, std::size_t at) {
    using T = decltype(type);
    return attempt([&](const cuda_lane& lane) {
      const T x = lane.load(reinterpret_cast<const T*>(&data[at]));
      if (std::memcmp(&x, &data[at], sizeof(T)) != 0) throw std::logic_error("another value");
    });
  };
  CHECK(load(std::uint16_t(), 23) == "fine");
  CHECK(load(words4(), 8) == "fine");
  CHECK(load(words4(), 16) == "fine");
  CHECK_THAT(load(std::uint16_t(), 24), ContainsSubstring("out of bounds"));
  CHECK_THAT(load(std::uint64_t(), 36), ContainsSubstring("out of bounds"));
  CHECK_THAT(load(words4(), 40), ContainsSubstring("out of bounds"));
  CHECK_THAT(load(words4(), 4), ContainsSubstring("misaligned"));
  CHECK_THAT(load(std::uint32_t(), 1), ContainsSubstring("misaligned"));
}

TEST_CASE("emulation: bank conflicts", "[emulation]") {
  const auto loads = [](const auto& place, auto type) {
    block where(1, cuda_lane::lanes, shared_bytes);
    where.count_banks = true;
    emulation::run(where, 1, [&](const emulation::team& t) {
      const cuda_lane lane(t, shared_bytes);
      for (int i = 0; i < 8; ++i) lane.shared_store(16 * (lane.thread() + 32 * i), words4{});
      lane.barrier();
      lane.shared_load<decltype(type)>(place(lane.lane()));
    });
    CHECK(where.stores.instructions == 8);
    CHECK(where.stores.ratio() == 1);
    CHECK(where.loads.instructions == 1);
    return where.loads.cycles;
  };
  CHECK(loads([](int l) { return 4 * l; }, int()) == 1);
  CHECK(loads([](int) { return 64; }, int()) == 1);  // the same word for all
  CHECK(loads([](int l) { return 8 * l; }, int()) == 2);
  CHECK(loads([](int l) { return 128 * (l % 16); }, int()) == 16);
  CHECK(loads([](int l) { return 16 * l; }, words4{}) == 4);
  CHECK(loads([](int l) { return 128 * l; }, words4{}) == 32);
  CHECK(loads([](int l) { return 128 * l + (l % 8) * 16; }, words4{}) == 4);  // swizzled
  // Lanes 0 to 3 and 20 to 23 want the same banks, and do not meet.
  const auto crossed = [](int l) { return 128 * l + 64 * ((l / 4 ^ l / 16) % 2) + 16 * (l % 4); };
  CHECK(loads(crossed, words4{}) == 4);
}
